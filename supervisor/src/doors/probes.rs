//! The health endpoint: health, liveness, readiness and metrics over HTTP/1.
//!
//! One request a connection, within a bounded time: who asks here asks rarely, and nobody may hold a
//! connection that a probe needs.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tpp::{config::Secret, control::Health};

use super::{
    accept::{Full, accept},
    bearer, scrape,
};
use crate::outlook::{
    Outlook, health::readiness, scrapes::Scrapes, snapshot::Snapshot, status::PublicHealth,
};

/// Where the answers come from. Each call is made for one request and must not block.
pub trait Source: Send + Sync + 'static {
    /// The whole at this moment; whoever asks often may be shown some of it a little older.
    fn glance(&self) -> Snapshot;
    /// What scrapers were told.
    fn scrapes(&self) -> &Scrapes;
    /// What whoever reads the metrics must bring; `None`: nothing.
    fn metrics_token(&self) -> Option<Secret>;
}

impl Source for Outlook {
    fn glance(&self) -> Snapshot {
        Self::glance(self)
    }

    fn scrapes(&self) -> &Scrapes {
        &self.scrapes
    }

    fn metrics_token(&self) -> Option<Secret> {
        self.in_force.now().config.metrics.token.clone()
    }
}

/// What one client, and all together, may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at once.
    connections: usize,
    /// From accept to the last byte of the answer.
    exchange: Duration,
}

const LIMITS: Limits = Limits {
    connections: 256,
    exchange: Duration::from_secs(5),
};

/// Serves the endpoint on a bound `listener` until `stop`. To be called in a runtime.
///
/// # Errors
/// Those of handing the listener to the runtime; afterwards nothing ends it but `stop`.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(LIMITS, listener, source, stop).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    source: Arc<dyn Source>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router(source);
    let exchange = |stream| exchange(stream, router.clone(), limits.exchange);
    let places = (limits.connections, Full::OldestEnds);
    accept("health", &listener, places, exchange, stop).await;
    Ok(())
}

async fn exchange(stream: TcpStream, router: Router, bound: Duration) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        // A client that has sent its request may close its half and still gets the answer.
        .half_close(true)
        // `bound` holds for the whole exchange, the head included.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(bound, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "health request broken"),
        Err(_) => tracing::debug!("health request timed out"),
    }
}

fn router(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/healthz", get(health))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        // Where monitoring looks that was set up for the management API.
        .route("/api/v1/metrics", get(metrics))
        .route("/api/gateway/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(source)
}

async fn health(State(source): State<Arc<dyn Source>>) -> Response {
    let snapshot = source.glance();
    let shown = PublicHealth::of(&snapshot);
    // A degraded tpp serves: to take it out of rotation would make things worse.
    let code = match shown.health() {
        Health::Healthy | Health::Degraded => StatusCode::OK,
        Health::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(code, &shown)
}

async fn live() -> Response {
    answer(StatusCode::OK, &json!({"status": "alive"}))
}

async fn ready(State(source): State<Arc<dyn Source>>) -> Response {
    match readiness(&source.glance()) {
        Ok(()) => answer(StatusCode::OK, &json!({"status": "ready"})),
        Err(reason) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"status": "not ready", "reason": reason}),
        ),
    }
}

async fn metrics(State(source): State<Arc<dyn Source>>, headers: HeaderMap) -> Response {
    let told = || scrape::answer(&headers, source.scrapes(), || source.glance());
    let Some(token) = source.metrics_token() else {
        return told();
    };
    match bearer::presented(&headers) {
        Some(presented) if token.is(presented) => told(),
        Some(_) => unauthorized(bearer::INVALID, "the token is not that of metrics.token"),
        None => unauthorized(
            bearer::CHALLENGE,
            "a token is needed: Authorization: Bearer …",
        ),
    }
}

fn unauthorized(challenge: &'static str, details: &str) -> Response {
    let body = json!({"error": "unauthorized", "details": details});
    let mut answer = answer(StatusCode::UNAUTHORIZED, &body);
    let challenge = HeaderValue::from_static(challenge);
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

async fn unknown() -> Response {
    let details = "there are /health, /healthz, /livez, /readyz and /metrics";
    answer(
        StatusCode::NOT_FOUND,
        &json!({"error": "not found", "details": details}),
    )
}

async fn not_allowed() -> Response {
    let details = "use GET or HEAD";
    answer(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"error": "method not allowed", "details": details}),
    )
}

fn answer(code: StatusCode, body: &impl serde::Serialize) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (code, no_store, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests;
