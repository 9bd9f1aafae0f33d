//! The management API: JSON over HTTP, for scripts, for other programs, and for pages that are named.
//!
//! A request goes through `gate` (is it from where it may be: `guard`; who asks, and may they: `auth`), is read by `body`, and is
//! carried out by `orders` or shown by `outlook`: nothing is decided here. What is not done is said by `problem`.

mod audit;
mod auth;
mod backends;
mod body;
#[cfg(test)]
mod described;
mod domains;
mod entries;
mod etag;
mod events;
mod gate;
mod guard;
mod listeners;
mod live;
mod pools;
mod problem;
mod service;
mod socket;
mod state;

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    http::{Method, StatusCode, Uri},
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, delete, get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tpp::config::{Backend, VirtualHost};

use super::{
    accept::{Accept, Full, accept},
    console,
};
use auth::Peer;
use problem::Problem;

pub(crate) use socket::ApiSocket;
pub(crate) use state::Api;

/// Connections at once; beyond it the oldest ends. A change that is under way goes on without its asker.
const MOST_CONNECTIONS: usize = 256;

/// How long a head may take to come, and how long a connection may ask nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves the API on `socket` until `stop`. To be called in a runtime.
///
/// # Errors
/// Those of handing the socket to the runtime; afterwards nothing ends it but `stop`.
pub(crate) async fn serve(
    socket: ApiSocket,
    api: Arc<Api>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    match socket {
        ApiSocket::Tcp { listener, .. } => {
            let peer = |stream: &TcpStream| {
                let address = stream.peer_addr().map(|address| address.ip());
                Peer::of_address(address.unwrap_or([0, 0, 0, 0].into()))
            };
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve_on(&listener, peer, api, stop).await;
        }
        ApiSocket::Unix { socket, .. } => {
            let peer =
                |stream: &UnixStream| Peer::of_user(stream.peer_cred().ok().map(|peer| peer.uid()));
            let listener = tokio::net::UnixListener::from_std(socket.listener)?;
            let file = socket.file;
            // First of all: during the exchanges' grace a client is to find nothing, not silence.
            let stop = async {
                stop.await;
                drop(file);
            };
            serve_on(&listener, peer, api, stop).await;
        }
    }
    Ok(())
}

async fn serve_on<L>(
    listener: &L,
    peer: impl Fn(&L::Stream) -> Peer,
    api: Arc<Api>,
    stop: impl Future<Output = ()>,
) where
    L: Accept,
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = router(api);
    let exchange = |stream: L::Stream| {
        let router = router.clone().layer(Extension(peer(&stream)));
        exchange(stream, router)
    };
    let places = (MOST_CONNECTIONS, Full::OldestEnds);
    accept("api", listener, places, exchange, stop).await;
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // A client that has sent its request may close its half and still gets the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "API connection broken");
    }
}

/// What stands at a path below [`ROOT`].
type Route = (&'static str, fn() -> MethodRouter<Arc<Api>>);

const ROOT: &str = "/api/v1";

/// All there is; `openapi.json` describes it.
const ROUTES: &[Route] = &[
    ("/health", || get(service::health)),
    ("/generation", || get(service::generation)),
    ("/workers", || get(service::workers)),
    ("/hosts", || get(service::hosts)),
    ("/metrics", || get(service::metrics)),
    ("/events", || get(events::events)),
    ("/openapi.json", || get(service::description)),
    ("/reload", || post(service::reload)),
    ("/config/check", || post(service::check)),
    ("/domains", || {
        get(entries::list::<VirtualHost>).post(entries::create::<VirtualHost>)
    }),
    ("/domains/{domain}", entry::<VirtualHost>),
    ("/domains/{domain}/switch", || post(domains::switch)),
    ("/domains/{domain}/circuit_breaker/reset", || {
        post(domains::reset)
    }),
    ("/backends", || {
        get(entries::list::<Backend>).post(entries::create::<Backend>)
    }),
    ("/backends/{id}", entry::<Backend>),
    ("/backends/{id}/state", || post(backends::set_state)),
    ("/backends/{id}/circuit_breaker/reset", || {
        post(backends::reset)
    }),
    ("/pools", || get(pools::list)),
    ("/pools/{name}", || get(pools::one)),
    ("/pools/{name}/refresh", || post(pools::refresh)),
    ("/pools/{name}/app_ticket", || post(pools::app_ticket)),
    ("/pools/{name}/pause", || post(pools::pause)),
    ("/pools/{name}/resume", || post(pools::resume)),
    ("/pools/{name}/leases/{slot}", || delete(pools::end_lease)),
];

fn entry<T: entries::Kind>() -> MethodRouter<Arc<Api>> {
    get(entries::one::<T>)
        .put(entries::put::<T>)
        .patch(entries::patch::<T>)
        .delete(entries::delete::<T>)
}

fn router(api: Arc<Api>) -> Router {
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(&format!("{ROOT}{path}"), methods())
        });
    console::beside(routes)
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(&api), gate::gate))
        .layer(from_fn(problem::negotiate))
        .with_state(api)
}

async fn unknown(uri: Uri) -> Problem {
    let detail = format!("nothing is at {:?}: see /api/v1/openapi.json", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn not_allowed(method: Method) -> Problem {
    let detail = format!("{method} is not for this: see Allow");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_every_path_and_no_other() {
        let described: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths.keys().cloned().collect();
        let routed: BTreeSet<_> = ROUTES
            .iter()
            .map(|(path, _)| format!("{ROOT}{path}"))
            .collect();
        assert_eq!(described, routed);
    }
}
