//! tpp itself: its health, its workers, its numbers, its configuration.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tpp::config::Format;

use super::{
    audit,
    auth::Caller,
    body::{self, media_type, unsupported},
    problem::Problem,
    state::Api,
};
use crate::{doors::scrape, orders::NotReloaded, outlook::status::PublicHealth};

const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn health(State(api): State<Arc<Api>>) -> axum::Json<Value> {
    let snapshot = api.outlook.glance();
    axum::Json(json!(PublicHealth::of(&snapshot)))
}

pub(super) async fn workers(State(api): State<Arc<Api>>) -> axum::Json<Value> {
    axum::Json(json!(api.outlook.workers()))
}

/// The hosts that share sessions.
pub(super) async fn hosts(State(api): State<Arc<Api>>) -> Result<axum::Json<Value>, Problem> {
    match api.orders.hosts_status() {
        Some(hosts) => Ok(axum::Json(json!(hosts))),
        None => {
            let detail = "this host is alone: its configuration has no [hosts]";
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
    }
}

/// Which plan is in force, and who acts on it.
pub(super) async fn generation(State(api): State<Arc<Api>>) -> axum::Json<Value> {
    let generation = api.generation();
    let seats = api.outlook.stock.region().seats();
    let workers = api.outlook.workers().into_iter().map(|worker| {
        let acts_on = seats
            .get(worker.seat as usize)
            .map_or(0, |seat| seat.plan());
        json!({
            "seat": worker.seat,
            "pid": worker.pid,
            "state": worker.state,
            "generation": acts_on,
        })
    });
    axum::Json(json!({
        "generation": generation,
        "reached": api.outlook.stock.is_plan_reached(generation),
        "workers": workers.collect::<Vec<_>>(),
    }))
}

pub(super) async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let outlook = &api.outlook;
    scrape::answer(&headers, &outlook.scrapes, || outlook.glance())
}

pub(super) async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

/// Reads the configuration file again.
pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Problem> {
    let orders = Arc::clone(&api.orders);
    // It goes on if its asker leaves.
    let done = tokio::spawn(async move { orders.reload().await }).await;
    match done.map_err(|error| broken(&error))? {
        Ok(changes) => {
            let generation = api.generation();
            audit::note(&caller, &format!("reload: {changes}"), generation);
            Ok(axum::Json(
                json!({"changes": changes, "generation": generation}),
            ))
        }
        Err(NotReloaded::Wrong(problems)) => {
            let problems: Vec<_> = problems.iter().cloned().collect();
            Err(Problem::invalid(&problems))
        }
        Err(NotReloaded::Failed(reason)) => Err(Problem::new(StatusCode::CONFLICT, reason)),
    }
}

/// 500: what was begun for a request has come to an end that nobody foresaw.
pub(super) fn broken(error: &tokio::task::JoinError) -> Problem {
    let detail = format!("the change did not come to its end: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

/// Says what is wrong with a configuration, without a change.
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<axum::Json<Value>, Problem> {
    let media = media_type(request.headers());
    // Each JSON text is a YAML text, and means the same.
    let format = match media.as_str() {
        "application/toml" | "text/toml" | "text/x-toml" => Format::Toml,
        "application/json" | "application/yaml" => Format::Yaml,
        other => return Err(unsupported(other, "application/toml or application/json")),
    };
    let text = String::from_utf8(body::bytes(request).await?)
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
    let checked = api.orders.check(text, format).await;
    let checked = checked.map_err(|reason| Problem::new(StatusCode::CONFLICT, reason))?;
    let config = checked.map_err(|problems| {
        let problems: Vec<_> = problems.iter().cloned().collect();
        Problem::invalid(&problems)
    })?;
    Ok(axum::Json(
        json!({"status": "ok", "warnings": config.warnings()}),
    ))
}
