//! The pools of tokens: what they hold, and what can be done to them.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    audit,
    auth::Caller,
    body::{At, Fields, Json, Optional},
    problem::Problem,
    state::Api,
};
use crate::orders::PoolRefusal;

type Answer = Result<axum::Json<Value>, Problem>;

pub(super) async fn list(State(api): State<Arc<Api>>) -> axum::Json<Value> {
    axum::Json(json!(api.orders.list_pools()))
}

pub(super) async fn one(State(api): State<Arc<Api>>, At(name): At<String>) -> Answer {
    shown(&api, &name)
}

fn shown(api: &Api, name: &str) -> Answer {
    let pool = api
        .orders
        .show_pool(name)
        .map_err(|error| refused(&error))?;
    Ok(axum::Json(json!(pool)))
}

/// Logs in anew: for one user's slots, or for all.
pub(super) async fn refresh(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    Optional(body): Optional,
) -> Answer {
    let mut fields = Fields::of(body)?;
    let user = fields.text("user")?;
    fields.end()?;
    let slots = api.orders.refresh_pool(&name, user).await;
    let slots = slots.map_err(|error| refused(&error))?;
    note(
        &api,
        &caller,
        &format!("pool {name}: refresh of {slots} slots"),
    );
    Ok(axum::Json(json!({"name": name, "slots": slots})))
}

/// Takes the ticket that the platform has sent to a marketplace app. It is shown to nobody.
pub(super) async fn app_ticket(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    Json(body): Json,
) -> Answer {
    let mut fields = Fields::of(body)?;
    let ticket = Zeroizing::new(fields.needed_text("app_ticket")?);
    let app = fields.text("app_id")?;
    fields.end()?;
    let slots = api.orders.take_ticket(&name, app, &ticket).await;
    let slots = slots.map_err(|error| refused(&error))?;
    note(&api, &caller, &format!("pool {name}: app ticket taken"));
    Ok(axum::Json(json!({"name": name, "slots": slots})))
}

pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
) -> Answer {
    set_paused(&api, &caller, &name, true).await
}

pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
) -> Answer {
    set_paused(&api, &caller, &name, false).await
}

async fn set_paused(api: &Api, caller: &Caller, name: &str, is_paused: bool) -> Answer {
    let (orders, who) = (&api.orders, caller.to_string());
    let done = orders.set_paused(&who, name, is_paused).await;
    done.map_err(|error| refused(&error))?;
    shown(api, name)
}

/// Ends the lease of a slot: its holder's connection is cut off.
pub(super) async fn end_lease(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At((name, slot)): At<(String, String)>,
) -> Answer {
    let number = slot
        .parse()
        .map_err(|_| Problem::of_field("slot", format!("{slot:?} is no number of a slot")))?;
    let ended = api.orders.end_lease(&name, number);
    ended.map_err(|error| refused(&error))?;
    note(
        &api,
        &caller,
        &format!("pool {name}: lease of slot {number} ended"),
    );
    Ok(axum::Json(
        json!({"name": name, "slot": number, "ended": true}),
    ))
}

fn note(api: &Api, caller: &Caller, what: &str) {
    audit::note(caller, what, api.generation());
}

fn refused(refusal: &PoolRefusal) -> Problem {
    let words = refusal.to_string();
    match refusal {
        PoolRefusal::NoTickets { .. } => Problem::new(StatusCode::CONFLICT, words),
        PoolRefusal::NoApp { .. } | PoolRefusal::WhichApp { .. } => {
            Problem::of_field("app_id", words)
        }
        PoolRefusal::NotKept(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, words),
        PoolRefusal::NoTicket => Problem::of_field("app_ticket", words),
        _ => Problem::new(StatusCode::NOT_FOUND, words),
    }
}
