//! The upstream, as Pingora connects to it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::{
    connectors::L4Connect,
    protocols::{
        TcpKeepalive,
        l4::{socket, stream},
        tls::CaType,
    },
    tls::{CertificateDer, RootCertStore},
    upstreams::peer::HttpPeer,
    utils::tls::{WrappedX509, parse_x509},
};
use pingora_error::{Error, ErrorType, OrErr, Result};
use rustls_pki_types::pem::PemObject;
use tokio::{net::TcpStream, time::timeout};
use tpp::pool::WorkerSettings;
use tracing::{error, warn};

use crate::reply::Reply;

/// Finds a dead host behind an idle connection within two minutes.
pub(crate) const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    count: 6,
    user_timeout: Duration::ZERO,
};

/// Where requests go.
#[derive(Debug)]
pub(crate) struct Upstream {
    peers: Vec<HttpPeer>,
    next: AtomicUsize,
    /// `Host` for a request that came without.
    authority: HeaderValue,
    /// Why there are no peers.
    missing: &'static str,
}

impl Upstream {
    /// `generation` keeps apart connections that were made, and certificates that were checked, under other settings.
    pub(crate) fn new(settings: &WorkerSettings, addresses: &[SocketAddr], generation: u64) -> Self {
        let authority = format!("{}:{}", settings.upstream_host, settings.upstream_port);
        let authority = HeaderValue::try_from(authority).unwrap_or(HeaderValue::from_static("upstream"));
        let none = |missing| Self { peers: Vec::new(), next: AtomicUsize::new(0), authority: authority.clone(), missing };
        let Some(template) = template(settings, generation) else {
            return none("the upstream's certificate authority is not readable");
        };
        let peers = addresses.iter().map(|&address| {
            let mut peer = template.clone();
            peer._address = socket::SocketAddr::Inet(address);
            peer
        });
        Self { peers: peers.collect(), ..none("the upstream's name does not resolve") }
    }

    /// Whose turn it is.
    pub(crate) fn draw(&self) -> usize {
        // Relaxed: one thread draws.
        self.next.fetch_add(1, Relaxed)
    }

    /// The peer for the `attempt`-th attempt of a request that drew `turn`.
    ///
    /// # Errors
    /// With what the client is told, if there is none.
    pub(crate) fn peer(&self, turn: usize, attempt: usize) -> Result<Box<HttpPeer>, Reply> {
        let count = self.peers.len();
        let index = turn.wrapping_add(attempt).checked_rem(count).ok_or_else(|| Reply::bad_gateway(self.missing))?;
        Ok(Box::new(self.peers[index].clone()))
    }

    /// How many addresses there are to try.
    pub(crate) fn addresses(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

/// A peer but for its address; `None` if it could not be verified as it should.
fn template(settings: &WorkerSettings, generation: u64) -> Option<HttpPeer> {
    // Pingora verifies nothing when it is given no name, so an address is a name too.
    let name = settings.upstream_host.trim_matches(['[', ']']).to_owned();
    let mut peer = HttpPeer::new(SocketAddr::from(([0; 4], 0)), settings.tls, name);
    let options = &mut peer.options;
    options.connection_timeout = Some(settings.connect_timeout);
    options.total_connection_timeout = Some(settings.connect_timeout);
    options.idle_timeout = Some(settings.upstream_idle_timeout);
    options.tcp_keepalive = Some(KEEPALIVE);
    if settings.tls {
        // Pingora bounds connect and handshake by one value each; the connect has its own bound in `BoundedConnect`.
        options.connection_timeout = Some(settings.tls_handshake_timeout);
        options.total_connection_timeout = Some(settings.connect_timeout + settings.tls_handshake_timeout);
        options.custom_l4 = Some(Arc::new(BoundedConnect(settings.connect_timeout)));
        options.verify_cert = settings.verify;
        options.verify_hostname = settings.verify;
        if !settings.verify {
            warn!("upstream.verify is false: the upstream's certificate is NOT checked, anybody on the way can read tokens");
        }
        if let Some(path) = &settings.ca_file {
            match authorities(path) {
                Ok(authorities) => options.ca = Some(authorities),
                Err(error) => {
                    error!(path = %path.display(), error = %format!("{error:#}"), "upstream.ca_file is not readable, nothing is sent");
                    return None;
                }
            }
        }
        peer.group_key = generation;
    }
    Some(peer)
}

/// The certificates in a file.
fn authorities(path: &Path) -> anyhow::Result<Arc<CaType>> {
    let mut sound = RootCertStore::empty();
    let mut wrapped = Vec::new();
    for certificate in CertificateDer::pem_file_iter(path)? {
        let certificate = certificate?;
        // Pingora panics on one that cannot be parsed.
        sound.add(certificate.clone())?;
        wrapped.push(WrappedX509::new(certificate.to_vec(), parse_x509));
    }
    anyhow::ensure!(!wrapped.is_empty(), "no certificate in it");
    Ok(wrapped.into())
}

/// A TCP connect with a bound of its own.
#[derive(Debug)]
struct BoundedConnect(Duration);

#[async_trait]
impl L4Connect for BoundedConnect {
    async fn connect(&self, address: &socket::SocketAddr) -> Result<stream::Stream> {
        let address = address.as_inet().ok_or_else(|| Error::new(ErrorType::ConnectError))?;
        let connected = timeout(self.0, TcpStream::connect(address)).await;
        let connected = connected.or_err(ErrorType::ConnectTimedout, "connect to the upstream")?;
        Ok(connected.or_err(ErrorType::ConnectError, "connect to the upstream")?.into())
    }
}
