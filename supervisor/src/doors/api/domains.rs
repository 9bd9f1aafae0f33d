//! Orders to virtual hosts.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};
use tpp::config::VirtualHost;

use super::{
    audit,
    auth::Caller,
    body::{At, Fields, Json},
    entries::{Kind, answered, refused, shown},
    problem::Problem,
    state::Api,
};
use crate::desired::Resource;

/// Closes the breaker of a host, and those that it has for single backends.
pub(super) async fn reset(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(domain): At<String>,
) -> Result<axum::Json<Value>, Problem> {
    let domain = VirtualHost::named(&domain);
    if !api.orders.reset_domain(&domain) {
        return Err(Problem::unknown(VirtualHost::KIND, &domain));
    }
    let what = format!("domain {domain}: circuit breaker reset");
    audit::note(&caller, &what, api.generation());
    shown::<VirtualHost>(&api, &domain)
}

/// Has backends of another tag serve the host: at once for every request that begins from now on.
pub(super) async fn switch(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(domain): At<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let domain = VirtualHost::named(&domain);
    let mut fields = Fields::of(body)?;
    let tag = fields.needed_text("new_tag")?;
    let percent = fields.number("percent", 0..=100)?;
    let percent = percent.and_then(|percent| u32::try_from(percent).ok());
    let require_healthy = fields.flag("require_healthy")?;
    fields.end()?;
    let before = api.desired.state();
    let previous = before.find::<VirtualHost>(&domain);
    let previous = previous.ok_or_else(|| Problem::unknown("domain", &domain))?;
    let previous_tag = previous.enabled_backends_tag.clone();
    let done = api
        .desired
        .switch(&caller.to_string(), &domain, &tag, percent, require_healthy)
        .await
        .map_err(|refusal| refused::<VirtualHost>(refusal, &domain))?;
    let live = api.live_of(&done.state);
    let host = done.state.find::<VirtualHost>(&domain);
    let body = json!({
        "domain": domain,
        "previous_tag": previous_tag,
        "enabled_backends_tag": host.map(|host| &host.enabled_backends_tag),
        "split": host.map(|host| &host.split),
        "healthy_backends": live.serving(&tag),
        "generation": done.reached.generation,
    });
    Ok(answered(&done.reached, body, StatusCode::OK))
}
