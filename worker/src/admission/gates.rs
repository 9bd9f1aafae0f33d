//! How clients are let in at each address, and what they are shown: the supervisor's front door, worked out once for all
//! handshakes. Another one replaces it whole; connections that are open keep what they began with.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{
    RootCertStore, ServerConfig, SignatureScheme,
    crypto::{CryptoProvider, ring},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tpp::{
    certificate::Certified,
    config::{ClientCertificates, Http2, TlsVersion},
    front::{self, Front, SealedFront},
};

use super::{challenges::Challenges, tickets::Tickets};

/// What is agreed on in the handshake, the best first.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// All gates, and the file that they came in.
#[derive(Debug)]
pub(crate) struct Gates {
    pub(crate) sealed: SealedFront,
    /// What authorities are told that check on a host.
    pub(crate) challenges: Arc<Challenges>,
    gates: Vec<(SocketAddr, Arc<Gate>)>,
}

/// How clients are let in at an address.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Whether each connection begins with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// How long it may take until a client is in.
    pub(crate) patience: Duration,
    /// How HTTP/2 is spoken, if clients may speak it.
    pub(crate) http2: Option<Http2>,
    /// With TLS: what is shown.
    pub(crate) tls: Option<Shop>,
}

/// The certificates, each with the settings by which it is shown at one gate.
#[derive(Debug)]
pub(crate) struct Shop {
    certificates: Arc<Certificates>,
    pub(crate) challenges: Arc<Challenges>,
    /// In the order of the certificates.
    settings: Vec<Arc<ServerConfig>>,
}

/// The certificates, and for whom each is.
#[derive(Debug, Default)]
struct Certificates {
    list: Vec<(Arc<Certified>, Arc<CertifiedKey>)>,
    /// By their names in the configuration.
    named: HashMap<String, usize>,
    exact: HashMap<String, Vec<usize>>,
    /// By what follows the `*.`.
    wildcards: HashMap<String, Vec<usize>>,
    default: Option<usize>,
}

/// What a client is shown.
pub(crate) struct Choice {
    pub(crate) certified: Arc<Certified>,
    pub(crate) settings: Arc<ServerConfig>,
}

impl Gates {
    /// Those of `front`.
    ///
    /// # Errors
    /// If the TLS library does not take something of it.
    pub(crate) fn new(sealed: SealedFront, front: &Front) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Arc::new(Certificates::new(front)?);
        let challenges = Arc::new(Challenges::new(front, &provider)?);
        let mut gates = Vec::new();
        for gate in &front.gates {
            let tls = if gate.tls {
                let settings = settings(front, gate, &certificates, &provider);
                Some(Shop {
                    certificates: Arc::clone(&certificates),
                    challenges: Arc::clone(&challenges),
                    settings: settings.with_context(|| format!("listener {}", gate.address))?,
                })
            } else {
                None
            };
            let gate_for_workers = Gate {
                proxy_protocol: gate.proxy_protocol,
                patience: front.tls.handshake_timeout,
                http2: gate.http2.then_some(front.http2),
                tls,
            };
            gates.push((gate.address, Arc::new(gate_for_workers)));
        }
        Ok(Self {
            sealed,
            challenges,
            gates,
        })
    }

    /// The one at `address`; `None`: clients come in plainly.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Arc<Gate>> {
        let mut gates = self.gates.iter();
        let (_, gate) = gates.find(|(at, _)| *at == address)?;
        (gate.proxy_protocol || gate.tls.is_some() || gate.http2.is_some())
            .then(|| Arc::clone(gate))
    }

    /// The port of the first one with TLS.
    pub(crate) fn https_port(&self) -> Option<u16> {
        let mut gates = self.gates.iter();
        let (address, _) = gates.find(|(_, gate)| gate.tls.is_some())?;
        Some(address.port())
    }
}

impl Certificates {
    fn new(front: &Front) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for (index, shown) in front.certificates.iter().enumerate() {
            let key = shown.certified.signing();
            let key = key.with_context(|| format!("certificate {}", shown.name))?;
            for name in &shown.certified.about().names {
                let (of, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut all.wildcards, suffix),
                    None => (&mut all.exact, name.as_str()),
                };
                of.entry(name.to_owned()).or_default().push(index);
            }
            if front.tls.default_certificate.as_ref() == Some(&shown.name) {
                all.default = Some(index);
            }
            all.named.insert(shown.name.clone(), index);
            let certified = Arc::clone(&shown.certified);
            all.list.push((certified, Arc::new(key)));
        }
        Ok(all)
    }

    /// The one for `host`: for its very name, else for all below the name above it. Of several the first whose key the client takes.
    fn for_host(&self, host: &str, schemes: &[SignatureScheme]) -> Option<usize> {
        let host = host.to_ascii_lowercase();
        let exact = self.exact.get(&host);
        let found = exact.or_else(|| self.wildcards.get(host.split_once('.')?.1))?;
        let suits = |index: &&usize| {
            let key = &self.list[**index].1.key;
            key.choose_scheme(schemes).is_some()
        };
        found.iter().find(suits).or_else(|| found.first()).copied()
    }
}

impl Shop {
    /// What `hello` is answered with. `named` is the certificate that the host it asks for names. `None`: nothing is for it.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>, named: Option<&str>) -> Option<Choice> {
        let all = &self.certificates;
        let named = named.and_then(|name| all.named.get(name).copied());
        let by_host = || all.for_host(hello.server_name()?, hello.signature_schemes());
        let index = named.or_else(by_host).or(all.default)?;
        Some(Choice {
            certified: Arc::clone(&all.list[index].0),
            settings: Arc::clone(&self.settings[index]),
        })
    }
}

/// Shows one certificate, whoever asks.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// By which each certificate is shown at `gate`.
fn settings(
    front: &Front,
    gate: &front::Gate,
    certificates: &Certificates,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Vec<Arc<ServerConfig>>> {
    let versions = match front.tls.min_version {
        TlsVersion::V12 => &[&TLS13, &TLS12][..],
        TlsVersion::V13 => &[&TLS13],
    };
    let clients = clients(gate, provider)?;
    let tickets = Arc::new(Tickets::new(&front.ticket_keys, gate));
    let mut all = Vec::new();
    for (_, key) in &certificates.list {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut settings = builder.with_cert_resolver(Arc::new(Only(Arc::clone(key))));
        let protocols = &PROTOCOLS[usize::from(!gate.http2)..];
        settings.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        // All that may be spoken is strong; who looks for weak servers still asks that the order is the server's.
        settings.ignore_client_order = true;
        // A session that is kept here would be unknown to the other workers.
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.ticketer = Arc::<Tickets>::clone(&tickets);
        all.push(Arc::new(settings));
    }
    Ok(all)
}

/// Who judges the certificates of clients, if they are asked for any.
fn clients(
    gate: &front::Gate,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Option<Arc<dyn ClientCertVerifier>>> {
    if gate.client_certificates == ClientCertificates::Off {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in &gate.authorities {
        roots.add(authority.clone())?;
    }
    let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match gate.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required | ClientCertificates::Off => builder,
    };
    Ok(Some(builder.build()?))
}
