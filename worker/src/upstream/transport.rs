//! Connecting to the upstream: TCP, through a proxy or straight, and TLS as logins speak it, by Pingora's handshake.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use pingora_core::{
    protocols::{
        Stream,
        l4::ext::{TcpKeepalive, set_tcp_keepalive},
        tls::client::handshake,
    },
    tls::TlsConnector,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tpp::{
    config::{Upstream, UpstreamHttp2},
    plan::BackendPlan,
    tls::client_config,
    tunnel::{TunnelError, connect_request, is_connected},
};
use tracing::{error, warn};

use crate::wire::tcp::Tcp;

/// How long the network may swallow what is sent before a connection counts as broken.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The same where what is sent too late could meet another host's use of the session: what is under way is gone before that may
/// begin.
const USER_TIMEOUT_OF_SHARED: Duration = Duration::from_secs(3);

/// What becomes of bytes that are not sent yet when their connection ends, or its process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The system sends them afterwards.
    Sent,
    /// They are dropped, and the connection is reset.
    Dropped,
}

/// How the upstream is reached, and spoken to.
pub(crate) struct Transport {
    /// What is asked of the proxy that it is behind.
    connect: Option<Vec<u8>>,
    speech: Speech,
}

enum Speech {
    Plain,
    Tls {
        connector: TlsConnector,
        name: String,
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
    #[error("{0}")]
    Tunnel(#[from] TunnelError),
    #[error("TLS handshake with the upstream: {0}")]
    Handshake(String),
    #[error("HTTP/2 with the upstream: {0}")]
    Http2(String),
    #[error("the upstream did not accept the connection in time")]
    Slow,
}

impl Transport {
    pub(crate) fn new(plan: &BackendPlan) -> Self {
        let connect = plan.proxy.as_ref().map(|proxy| {
            let authorization = proxy.authorization.as_deref();
            connect_request(&plan.upstream.authority(), authorization)
        });
        Self {
            connect,
            speech: Speech::new(&plan.upstream),
        }
    }

    /// Connects to `address`, through the proxy if that is what is there, within `connect_timeout` and the handshake's own.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        connect_timeout: Duration,
        unsent: Unsent,
    ) -> Result<Stream, Unreachable> {
        if let Speech::Unusable = self.speech {
            return Err(Unreachable::NoRoots);
        }
        let tcp = match &self.connect {
            None => dial(address, connect_timeout, unsent).await?,
            Some(request) => {
                let reached = async {
                    let mut tcp = dial(address, connect_timeout, unsent).await?;
                    tunnel(&mut tcp, request).await?;
                    Ok::<_, Unreachable>(tcp)
                };
                let reached = timeout(connect_timeout, reached).await;
                reached.map_err(|_| Unreachable::Slow)??
            }
        };
        self.speech.begin(tcp).await
    }
}

impl Speech {
    fn new(upstream: &Upstream) -> Self {
        if !upstream.tls {
            return Self::Plain;
        }
        if !upstream.verify {
            warn!(
                upstream = upstream.host,
                "the upstream's certificate is NOT verified (upstream.verify = false): anybody in between can read the tokens"
            );
        }
        match client_config(upstream) {
            Ok(mut config) => Self::Tls {
                connector: {
                    config.alpn_protocols = match upstream.http2 {
                        UpstreamHttp2::Off => Vec::new(),
                        UpstreamHttp2::On => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
                        UpstreamHttp2::Only => vec![b"h2".to_vec()],
                    };
                    TlsConnector::from(Arc::new(config))
                },
                name: upstream.tls_name().to_owned(),
                handshake_timeout: upstream.tls_handshake_timeout,
            },
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                error!(%error, cause, "the roots to verify the upstream with cannot be loaded");
                Self::Unusable
            }
        }
    }

    async fn begin(&self, tcp: TcpStream) -> Result<Stream, Unreachable> {
        match self {
            Self::Plain => Ok(Box::new(Tcp::to_upstream(tcp))),
            Self::Tls {
                connector,
                name,
                handshake_timeout,
            } => {
                let tls = handshake(connector, name, Tcp::to_upstream(tcp));
                let tls = timeout(*handshake_timeout, tls)
                    .await
                    .map_err(|_| Unreachable::Slow)?
                    .map_err(|error| Unreachable::Handshake(error.root_cause().to_string()))?;
                Ok(Box::new(tls))
            }
            Self::Unusable => Err(Unreachable::NoRoots),
        }
    }
}

/// Has the proxy at the other end connect to the upstream.
async fn tunnel(tcp: &mut TcpStream, request: &[u8]) -> Result<(), Unreachable> {
    tcp.write_all(request).await.map_err(Unreachable::Connect)?;
    let mut said = Vec::new();
    while !is_connected(&said)? {
        let read = tcp.read_buf(&mut said).await;
        if read.map_err(Unreachable::Connect)? == 0 {
            let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(Unreachable::Connect(ended));
        }
    }
    Ok(())
}

impl Unreachable {
    /// Whether it took too long, rather than failed.
    pub(crate) fn is_slow(&self) -> bool {
        match self {
            Self::Slow => true,
            Self::Connect(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

/// A TCP connection that notices when the other host is gone.
async fn dial(
    address: SocketAddr,
    limit: Duration,
    unsent: Unsent,
) -> Result<TcpStream, Unreachable> {
    let tcp = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| Unreachable::Slow)?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(Unreachable::Connect)?;
    let mut keepalive = TcpKeepalive::from(KEEPALIVE);
    if unsent == Unsent::Dropped {
        tcp.set_zero_linger().map_err(Unreachable::Connect)?;
        keepalive.user_timeout = USER_TIMEOUT_OF_SHARED;
    }
    match set_tcp_keepalive(&tcp, &keepalive) {
        Err(error) if unsent == Unsent::Dropped => {
            Err(Unreachable::Connect(io::Error::other(error.to_string())))
        }
        Err(error) => {
            // It serves without.
            warn!(%address, %error, "no keep-alive on the upstream connection");
            Ok(tcp)
        }
        Ok(()) => Ok(tcp),
    }
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

#[cfg(test)]
mod tests {
    use nix::sys::socket::{getsockopt, sockopt};

    use super::*;

    #[tokio::test]
    async fn a_network_that_swallows_what_is_sent_is_noticed_in_seconds() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = [
            (Unsent::Sent, USER_TIMEOUT, None),
            (
                Unsent::Dropped,
                USER_TIMEOUT_OF_SHARED,
                Some(Duration::ZERO),
            ),
        ];
        for (unsent, expected, linger) in limits {
            let tcp = dial(address, Duration::from_secs(20), unsent)
                .await
                .unwrap();
            let limit = getsockopt(&tcp, sockopt::TcpUserTimeout).unwrap();
            assert_eq!(u128::from(limit), expected.as_millis());
            assert!(getsockopt(&tcp, sockopt::KeepAlive).unwrap());
            assert_eq!(tcp.linger().unwrap(), linger);
        }
    }
}
