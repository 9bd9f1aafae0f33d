//! The upstream: how it is connected to, and the idle connections kept for the next request.
//!
//! Pingora's connector makes the connections and speaks TLS. The idle ones are kept here, because there all a worker needs
//! is a stack: the last one used is the first one reused, and no task watches over each.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::{
    ErrorType, OrErr,
    connectors::{ConnectorOptions, L4Connect, TransportConnector},
    protocols::{
        Stream,
        l4::{
            ext::{TcpKeepalive, set_tcp_keepalive},
            socket::SocketAddr as PeerAddress,
            stream::Stream as TcpLayer,
        },
    },
    tls::{RootCertStore, load_ca_file_into_store, load_platform_certs_incl_env_into_store},
    upstreams::peer::HttpPeer,
};
use tokio::{net::TcpStream, time::timeout};
use tpp::pool::WorkerSettings;
use tracing::{error, warn};

use crate::{clock::millis, log::Muffler, wire::Wire};

/// Most addresses tried for one connection.
const ATTEMPTS: usize = 4;

/// The upstream as one version of settings and addresses describes it.
pub(crate) struct Upstream {
    /// `host:port`.
    authority: String,
    transport: Arc<Transport>,
    addresses: Vec<SocketAddr>,
    /// Index of the address to begin with.
    next: AtomicUsize,
    idle: Mutex<Vec<Idle>>,
    most_idle: AtomicUsize,
    /// Milliseconds after which an idle connection is closed.
    idle_limit: u64,
    connect_timeout: Duration,
    muffler: Muffler,
}

enum Transport {
    Plain,
    Tls {
        connector: Box<TransportConnector>,
        host: String,
        verify: bool,
        handshake_timeout: Duration,
    },
    /// The roots to trust cannot be read.
    Unusable,
}

struct Idle {
    wire: Wire,
    since: u64,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("the upstream's name does not resolve")]
    NoAddress,
    #[error("the roots to verify the upstream with cannot be loaded")]
    NoRoots,
    #[error("connect to the upstream: {0}")]
    Connect(io::Error),
    #[error("TLS handshake with the upstream: {0}")]
    Handshake(String),
    #[error("the upstream did not accept the connection in time")]
    Slow,
}

impl Upstream {
    pub(crate) fn new(settings: &WorkerSettings, addresses: &[SocketAddr]) -> Self {
        let transport = if settings.tls {
            Transport::tls(settings)
        } else {
            Transport::Plain
        };
        Self::over(Arc::new(transport), settings, addresses)
    }

    /// The same upstream at other addresses.
    pub(crate) fn moved(&self, settings: &WorkerSettings, addresses: &[SocketAddr]) -> Self {
        Self::over(Arc::clone(&self.transport), settings, addresses)
    }

    fn over(
        transport: Arc<Transport>,
        settings: &WorkerSettings,
        addresses: &[SocketAddr],
    ) -> Self {
        let host = if settings.upstream_host.contains(':') {
            format!("[{}]", settings.upstream_host)
        } else {
            settings.upstream_host.clone()
        };
        Self {
            authority: format!("{host}:{}", settings.upstream_port),
            transport,
            addresses: addresses.to_vec(),
            next: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            most_idle: AtomicUsize::new(
                settings
                    .max_idle_connections
                    .div_ceil(settings.workers.max(1)),
            ),
            idle_limit: millis(settings.upstream_idle_timeout),
            connect_timeout: settings.connect_timeout,
            muffler: Muffler::default(),
        }
    }

    /// `host:port`, as a `Host` field holds it.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A connection that was used before and is still good.
    pub(crate) fn reuse(&self) -> Option<Wire> {
        let mut idle = self.idle.lock();
        while let Some(mut candidate) = idle.pop() {
            if candidate.wire.is_quiet() {
                return Some(candidate.wire);
            }
        }
        None
    }

    /// Keeps a connection on which the last exchange ended in order.
    pub(crate) fn keep(&self, mut wire: Wire, now: u64) {
        wire.forget_buffers();
        let mut idle = self.idle.lock();
        if idle.len() < self.most_idle.load(Relaxed) {
            idle.push(Idle { wire, since: now });
        }
    }

    /// Closes idle connections that are too old or were ended by the upstream.
    pub(crate) fn tend(&self, now: u64) {
        self.idle.lock().retain_mut(|idle| {
            now.saturating_sub(idle.since) < self.idle_limit && idle.wire.is_quiet()
        });
    }

    /// Keeps no connection any more: others are in force than those this was made of.
    pub(crate) fn retire(&self) {
        self.most_idle.store(0, Relaxed);
        self.idle.lock().clear();
    }

    /// Connects anew: to each address in turn, until one accepts.
    pub(crate) async fn connect(&self) -> Result<Wire, Unreachable> {
        let count = self.addresses.len();
        if count == 0 {
            return Err(Unreachable::NoAddress);
        }
        // Relaxed: any address is as good to begin with.
        let first = self.next.fetch_add(1, Relaxed);
        let mut last = Unreachable::NoAddress;
        for attempt in 0..count.min(ATTEMPTS) {
            let address = self.addresses[(first.wrapping_add(attempt)) % count];
            match self.transport.connect(address, self.connect_timeout).await {
                Ok(stream) => return Ok(Wire::new(stream)),
                Err(unreachable) => {
                    if self.muffler.may_speak() {
                        warn!(%address, error = %unreachable, "upstream unreachable");
                    }
                    last = unreachable;
                }
            }
        }
        Err(last)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("authority", &self.authority)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Transport {
    fn tls(settings: &WorkerSettings) -> Self {
        if !settings.verify {
            warn!(
                upstream = settings.upstream_host,
                "the upstream's certificate is NOT verified (upstream.verify = false): anybody in between can read the tokens"
            );
        }
        let mut options = ConnectorOptions::new(0);
        options.ca_file = settings
            .ca_file
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        // Pingora panics on roots that it cannot load.
        if let Err(error) = load_roots(options.ca_file.as_deref()) {
            error!(%error, "the roots to verify the upstream with cannot be loaded");
            return Self::Unusable;
        }
        Self::Tls {
            connector: Box::new(TransportConnector::new(Some(options))),
            host: settings.upstream_host.clone(),
            verify: settings.verify,
            handshake_timeout: settings.tls_handshake_timeout,
        }
    }

    async fn connect(
        &self,
        address: SocketAddr,
        connect_timeout: Duration,
    ) -> Result<Stream, Unreachable> {
        match self {
            Self::Plain => {
                let tcp = dial(address, connect_timeout).await?;
                Ok(Box::new(TcpLayer::from(tcp)))
            }
            Self::Tls {
                connector,
                host,
                verify,
                handshake_timeout,
            } => {
                // The name is never empty: with an empty one Pingora verifies nothing.
                let mut peer = HttpPeer::new(address, true, host.clone());
                peer.options.verify_cert = *verify;
                peer.options.verify_hostname = *verify;
                // With a dialler of our own, Pingora's one timeout bounds the handshake alone.
                peer.options.custom_l4 = Some(Arc::new(Dialler(connect_timeout)));
                peer.options.connection_timeout = Some(*handshake_timeout);
                connector
                    .new_stream(&peer)
                    .await
                    .map_err(|error| Unreachable::from_pingora(&error))
            }
            Self::Unusable => Err(Unreachable::NoRoots),
        }
    }
}

impl Unreachable {
    fn from_pingora(error: &pingora_core::Error) -> Self {
        let cause = error.root_cause();
        if let Some(unreachable) = cause.downcast_ref::<io::Error>() {
            return Self::Connect(io::Error::new(unreachable.kind(), unreachable.to_string()));
        }
        match error.etype() {
            ErrorType::ConnectTimedout => Self::Slow,
            _ => Self::Handshake(cause.to_string()),
        }
    }

    /// Whether it took too long, rather than failed.
    pub(crate) fn is_slow(&self) -> bool {
        match self {
            Self::Slow => true,
            Self::Connect(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

fn load_roots(ca_file: Option<&str>) -> pingora_core::Result<()> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => load_ca_file_into_store(path, &mut roots)?,
        None => load_platform_certs_incl_env_into_store(&mut roots)?,
    }
    if roots.is_empty() {
        return pingora_core::Error::e_explain(ErrorType::InvalidCert, "there are none");
    }
    Ok(())
}

/// A TCP connection that notices when the other host is gone.
async fn dial(address: SocketAddr, limit: Duration) -> Result<TcpStream, Unreachable> {
    let tcp = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| Unreachable::Slow)?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(Unreachable::Connect)?;
    if let Err(error) = set_tcp_keepalive(&tcp, &tcp_keepalive()) {
        // It serves without.
        warn!(%address, %error, "no keep-alive on the upstream connection");
    }
    Ok(tcp)
}

/// TCP keep-alive for both sides: a host that vanished is noticed within about a minute and a half.
pub(crate) fn tcp_keepalive() -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        user_timeout: Duration::ZERO,
    }
}

/// Dials for Pingora, with a timeout of its own.
#[derive(Debug)]
struct Dialler(Duration);

#[async_trait]
impl L4Connect for Dialler {
    async fn connect(&self, address: &PeerAddress) -> pingora_core::Result<TcpLayer> {
        let Some(address) = address.as_inet() else {
            return pingora_core::Error::e_explain(ErrorType::InternalError, "no internet address");
        };
        match dial(*address, self.0).await {
            Ok(tcp) => Ok(tcp.into()),
            Err(Unreachable::Connect(error)) => {
                Err(error).or_err(ErrorType::ConnectError, "connect")
            }
            Err(_) => pingora_core::Error::e_explain(ErrorType::ConnectTimedout, "connect"),
        }
    }
}
