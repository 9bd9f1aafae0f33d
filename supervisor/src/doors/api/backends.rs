//! Orders to backends.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use tpp::config::{Backend, BackendState};

use super::{
    auth::Caller,
    body::{At, Fields, Json},
    entries::{changed, refused},
    problem::Problem,
    state::Api,
};

/// Has a backend drain, rest, or serve.
pub(super) async fn set_state(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body)?;
    let word = fields.needed_text("state")?;
    fields.end()?;
    let all = [
        BackendState::Ready,
        BackendState::Drain,
        BackendState::Maint,
    ];
    let state = all.into_iter().find(|state| state.word() == word);
    let state = state.ok_or_else(|| {
        let detail = format!("state: found {word:?}; expected ready, drain or maint");
        Problem::of_field("state", detail)
    })?;
    let done = api.desired.set_state(&caller.to_string(), &id, state).await;
    let done = done.map_err(|refusal| refused::<Backend>(refusal, &id))?;
    changed::<Backend>(&api, &done, &id, StatusCode::OK)
}
