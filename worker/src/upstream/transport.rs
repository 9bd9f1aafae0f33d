//! Connecting to the upstream: TCP, and TLS by Pingora's connector.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
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
use tpp::lending::WorkerSettings;
use tracing::{error, warn};

/// How long the network may swallow what is sent before a connection counts as broken.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// How the upstream is spoken to.
pub(crate) enum Transport {
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

impl Transport {
    pub(crate) fn new(settings: &WorkerSettings) -> Self {
        if settings.upstream.tls {
            Self::tls(settings)
        } else {
            Self::Plain
        }
    }

    fn tls(settings: &WorkerSettings) -> Self {
        if !settings.upstream.verify {
            warn!(
                upstream = settings.upstream.host,
                "the upstream's certificate is NOT verified (upstream.verify = false): anybody in between can read the tokens"
            );
        }
        let mut options = ConnectorOptions::new(0);
        options.ca_file = settings
            .upstream
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
            host: settings.upstream.host.clone(),
            verify: settings.upstream.verify,
            handshake_timeout: settings.upstream.tls_handshake_timeout,
        }
    }

    /// Connects to `address`, within `connect_timeout` and the handshake's own.
    pub(crate) async fn connect(
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
    if let Err(error) = set_tcp_keepalive(&tcp, &KEEPALIVE.into()) {
        // It serves without.
        warn!(%address, %error, "no keep-alive on the upstream connection");
    }
    Ok(tcp)
}

/// When TCP asks a silent peer whether it is still there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    /// Silence before the first probe.
    pub(crate) idle: Duration,
    /// Time between probes.
    pub(crate) interval: Duration,
    /// Probes without an answer that end the connection.
    pub(crate) probes: u32,
}

/// For both sides: a host that vanished is noticed within a minute and a half.
pub(crate) const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
};

impl From<Keepalive> for TcpKeepalive {
    fn from(keepalive: Keepalive) -> Self {
        Self {
            idle: keepalive.idle,
            interval: keepalive.interval,
            count: keepalive.probes as usize,
            user_timeout: USER_TIMEOUT,
        }
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
