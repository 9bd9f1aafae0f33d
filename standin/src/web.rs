//! A stand-in for a web server without tokens: it says its name, and is as well as it is told to be.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

/// A running web stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct WebStandIn {
    address: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl WebStandIn {
    /// Starts to listen at `listen` (port 0 for any), under this name, on the current tokio runtime.
    ///
    /// `GET /health` answers health checks and every other path says the name. `POST /mode` takes `well`; `failing`, in which
    /// requests get 500 while checks pass; or `ill`, in which both fail.
    ///
    /// # Errors
    /// The system's, if the address cannot be had.
    pub async fn start(name: &str, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            name: name.to_owned(),
            mode: AtomicU8::new(Mode::Well as u8),
        });
        let router = Router::new()
            .route("/health", get(health))
            .route("/mode", post(change))
            .fallback(say_name)
            .with_state(service);
        let server = tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { address, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for WebStandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service {
    name: String,
    mode: AtomicU8,
}

#[derive(Clone, Copy)]
enum Mode {
    Well,
    Failing,
    Ill,
}

impl Service {
    /// Whether it is in one of `modes`. Relaxed: a number on its own.
    fn is(&self, modes: &[Mode]) -> bool {
        let mode = self.mode.load(Relaxed);
        modes.iter().any(|one| *one as u8 == mode)
    }
}

async fn health(State(service): State<Arc<Service>>) -> Response {
    if service.is(&[Mode::Ill]) {
        return (StatusCode::SERVICE_UNAVAILABLE, "ill\n").into_response();
    }
    "well\n".into_response()
}

async fn change(State(service): State<Arc<Service>>, body: String) -> Response {
    let mode = match body.trim() {
        "well" => Mode::Well,
        "failing" => Mode::Failing,
        "ill" => Mode::Ill,
        _ => return (StatusCode::BAD_REQUEST, "well, failing or ill\n").into_response(),
    };
    service.mode.store(mode as u8, Relaxed);
    "so be it\n".into_response()
}

async fn say_name(State(service): State<Arc<Service>>, uri: Uri) -> Response {
    if service.is(&[Mode::Failing, Mode::Ill]) {
        let trouble = json!({ "backend": service.name, "error": "as it was told" });
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(trouble)).into_response();
    }
    Json(json!({ "backend": service.name, "path": uri.path() })).into_response()
}
