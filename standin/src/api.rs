//! The stand-in's HTTP side.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value as Json_, json};
use tokio::sync::watch;
use tpp::config::Secret;

use super::{
    ledger::{Ledger, Stats},
    script::{self, Value},
};

/// Longest request. Far more than a script needs, so that large uploads can be tried.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// What the requests share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) ledger: Arc<Ledger>,
    pub(super) login_delay: Duration,
    pub(super) stopped: watch::Receiver<bool>,
}

pub(super) fn router(service: Service) -> Router {
    Router::new()
        .route("/api/login", post(login))
        .route("/api/execute", post(execute))
        .route("/stats", get(stats))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(service)
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Execute {
    script: String,
}

// The content type is not looked at: the documented examples send JSON under curl's own.
async fn login(State(service): State<Service>, body: Bytes) -> Response {
    let Ok(Login { username, password }) = serde_json::from_slice(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            answer("0", "", Err("username and password are wanted")),
        )
            .into_response();
    };
    let password = Secret::new(password);
    service.pause(service.login_delay).await;
    match service
        .ledger
        .log_in(&username, password.expose(), Instant::now())
    {
        Some(granted) => answer(
            &granted.session.to_string(),
            &username,
            Ok(json!([granted.token])),
        )
        .into_response(),
        None => {
            // The call with its password is in the message because DolphinDB has it there.
            let call = format!("login({username:?}, {:?})", password.expose());
            let message = format!("{call} => The user name or password is incorrect.");
            answer(&rand::random::<u32>().to_string(), &username, Err(&message)).into_response()
        }
    }
}

async fn execute(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let Some(used) = service.ledger.begin(token, Instant::now()) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        let body = answer("0", "", Err("The token is missing, unknown or expired."));
        return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
    };
    let session = used.session.to_string();
    let Ok(Execute { script }) = serde_json::from_slice(&body) else {
        let body = answer(&session, &used.user, Err("script is wanted"));
        used.finish();
        return (StatusCode::BAD_REQUEST, body).into_response();
    };
    let answer = match script::run(&script, &used.user) {
        Ok(outcome) => {
            service.pause(outcome.pause).await;
            answer(&session, &used.user, Ok(json!([scalar(&outcome.value)])))
        }
        Err(message) => answer(&session, &used.user, Err(&message)),
    };
    used.finish();
    answer.into_response()
}

async fn stats(State(service): State<Service>) -> Json<Stats> {
    Json(service.ledger.stats())
}

async fn not_found() -> impl IntoResponse {
    (
        StatusCode::NOT_FOUND,
        answer(
            "0",
            "",
            Err("POST /api/login, POST /api/execute, GET /stats"),
        ),
    )
}

impl Service {
    /// Waits, but not beyond the end of the stand-in.
    async fn pause(&self, time: Duration) {
        let mut stopped = self.stopped.clone();
        // Out of time, told to stop, or dropped: all the same here.
        let _ = tokio::time::timeout(time, stopped.wait_for(|stopped| *stopped)).await;
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The documented answer, for success or failure.
fn answer(session: &str, user: &str, result: Result<Json_, &str>) -> Json<Json_> {
    let (code, message, result) = match result {
        Ok(result) => ("0", "", result),
        Err(message) => ("1", message, json!([])),
    };
    Json(
        json!({ "session": session, "user": user, "code": code, "message": message, "result": result }),
    )
}

/// A value as DolphinDB's JSON shows it: its kind beside it, and itself as text.
fn scalar(value: &Value) -> Json_ {
    let (kind, text) = match value {
        Value::Void => ("void", Json_::Null),
        Value::Int(number) if i32::try_from(*number).is_ok() => ("int", number.to_string().into()),
        Value::Int(number) => ("long", number.to_string().into()),
        Value::Double(number) => ("double", number.to_string().into()),
        Value::Text(text) => ("string", text.as_str().into()),
    };
    json!({ "name": "", "form": "scalar", "type": kind, "value": text })
}
