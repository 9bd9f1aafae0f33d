//! What workers must know to let clients in besides those of plain sockets: how each address is listened on, and what is
//! shown there.
//!
//! There are private keys in it, so it travels apart from the plan, in a sealed memory file of its own ([`SealedFront`]), and nothing
//! here shows one. A newer one replaces it whole; connections that are open keep what they began with.

mod sealed;

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::{
    certificate::Certified,
    config::{ClientCertificates, Http2, Listener, Tls},
};

pub use sealed::{FrontError, SealedFront};

/// What workers must know of the front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// The addresses that are listened on in another way than plainly.
    pub gates: Vec<Gate>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[http2]`.
    pub http2: Http2,
    /// What can be shown.
    pub certificates: Vec<Shown>,
    /// What tickets are sealed with: the first one seals, all open.
    pub ticket_keys: Vec<TicketKey>,
    /// What an authority that checks on a host is told.
    pub challenges: Challenges,
}

/// What an authority is told that wants proof that a host is ours (ACME). None of it is secret but the keys of `proofs`, which are good
/// for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenges {
    /// Of http-01: what is answered, by the last part of the path.
    pub answers: BTreeMap<String, String>,
    /// Of tls-alpn-01: what is shown to it.
    pub proofs: Vec<Proof>,
}

/// A certificate that proves a host in a handshake, and is none to anybody else: what it says besides, no library takes.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// The host, in lower case.
    pub host: String,
    /// The certificate, in DER.
    pub certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

impl Proof {
    /// One for `host`, with its key in PKCS#8.
    #[must_use]
    pub fn new(host: &str, certificate: CertificateDer<'static>, key: Zeroizing<Vec<u8>>) -> Self {
        Self {
            host: host.to_ascii_lowercase(),
            certificate,
            key,
        }
    }

    /// The key, in PKCS#8. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose_key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// How an address is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// As it was bound.
    pub address: SocketAddr,
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether they may speak HTTP/2.
    pub http2: bool,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether clients show certificates of their own.
    pub client_certificates: ClientCertificates,
    /// Who vouches for those, in DER.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Gate {
    /// What `listener` says, bound to `address`.
    #[must_use]
    pub fn of(listener: &Listener, address: SocketAddr) -> Self {
        let authorities = listener.client_ca_file.as_ref();
        Self {
            address,
            tls: listener.tls,
            http2: listener.http2,
            proxy_protocol: listener.proxy_protocol,
            client_certificates: listener.client_certificates,
            authorities: authorities.map_or_else(Vec::new, |file| file.certificates.clone()),
        }
    }
}

/// A certificate under its name in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The name.
    pub name: String,
    /// The certificate.
    pub certified: Arc<Certified>,
}

/// Bytes of a ticket key's name.
pub const TICKET_NAME: usize = 16;
/// Bytes of a ticket key.
pub const TICKET_KEY: usize = 32;

/// A key that session tickets are sealed with.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    /// Stands in each ticket, so that its key is found.
    pub name: [u8; TICKET_NAME],
    secret: Zeroizing<[u8; TICKET_KEY]>,
    /// When it was made, Unix seconds.
    pub made_at: u64,
}

impl TicketKey {
    /// One of these bytes, which must have been drawn by lot.
    #[must_use]
    pub fn new(name: [u8; TICKET_NAME], secret: Zeroizing<[u8; TICKET_KEY]>, made_at: u64) -> Self {
        Self {
            name,
            secret,
            made_at,
        }
    }

    /// The key itself. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose(&self) -> &[u8; TICKET_KEY] {
        &self.secret
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey")
            .field("made_at", &self.made_at)
            .finish_non_exhaustive()
    }
}
