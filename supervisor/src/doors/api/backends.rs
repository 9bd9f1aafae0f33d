//! Orders to backends.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use serde_json::Value;
use tpp::config::{Backend, BackendState};

use super::{
    audit,
    auth::Caller,
    body::{At, Fields, Json, Query},
    entries::{changed, refused, shown},
    problem::Problem,
    state::Api,
};
use crate::{desired::Resource, orders::NotEmpty};

/// How long a backend may take to be empty, seconds.
const DEADLINES: RangeInclusive<u64> = 1..=86_400;
/// If nothing is said.
const DEADLINE: u64 = 60;

/// Has a backend drain, rest, or serve. `?wait`: answered when it has nothing left.
pub(super) async fn set_state(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    query: Query,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(body)?;
    let word = fields.needed_text("state")?;
    let deadline = fields.number("deadline_seconds", DEADLINES)?;
    fields.end()?;
    let waits = query.flag("wait")?;
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
    if waits && state != BackendState::Ready {
        let limit = Duration::from_secs(deadline.unwrap_or(DEADLINE));
        let empty = api.orders.until_empty(&id, limit).await;
        empty.map_err(|reason| not_empty(&reason))?;
    }
    changed::<Backend>(&api, &done, &id, StatusCode::OK)
}

fn not_empty(reason: &NotEmpty) -> Problem {
    let status = match reason {
        NotEmpty::Unknown(_) => StatusCode::NOT_FOUND,
        NotEmpty::Serves(_) => StatusCode::CONFLICT,
        NotEmpty::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
        NotEmpty::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, reason.to_string())
}

/// Closes every host's breaker for a backend.
pub(super) async fn reset(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<axum::Json<Value>, Problem> {
    if !api.orders.reset_backend(&id) {
        return Err(Problem::unknown(Backend::KIND, &id));
    }
    let what = format!("backend {id}: circuit breakers reset");
    audit::note(&caller, &what, api.generation());
    shown::<Backend>(&api, &id)
}
