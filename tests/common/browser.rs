//! A client with TLS, and the authorities that it trusts. Not in `common/mod.rs`: the other test programs need not be built with the library.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    version::{TLS12, TLS13},
};

use crate::common::patience;

/// An authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that it signed, and its key.
pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    key: KeyPair,
}

impl Issued {
    pub(crate) fn key(&self) -> String {
        self.key.serialize_pem()
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(CertificateParams::new(names).expect("names"))
    }

    /// A client's certificate.
    pub(crate) fn issue_to_client(&self) -> Issued {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Issued {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }
}

/// Keeps the sessions of its connections, as browsers do.
pub(crate) struct Browser(Arc<ClientConfig>);

impl Browser {
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self::trusting_root(authority.0.der())
    }

    /// One that trusts whom `root` vouches for.
    pub(crate) fn trusting_root(root: &CertificateDer<'static>) -> Self {
        Self::with(root, &[&TLS13, &TLS12], None)
    }

    /// One that speaks TLS 1.2 alone.
    pub(crate) fn old(authority: &Authority) -> Self {
        Self::with(authority.0.der(), &[&TLS12], None)
    }

    /// One that shows a certificate of its own.
    pub(crate) fn showing(authority: &Authority, own: &Issued) -> Self {
        Self::with(authority.0.der(), &[&TLS13, &TLS12], Some(own))
    }

    /// One that offers these ciphers of TLS 1.3, in this order.
    pub(crate) fn offering(authority: &Authority, suites: &[CipherSuite]) -> Self {
        let all = ring::default_provider();
        let by_name = |name: &CipherSuite| {
            let mut all = all.cipher_suites.iter();
            *all.find(|one| one.suite() == *name).expect("it is known")
        };
        let provider = CryptoProvider {
            cipher_suites: suites.iter().map(by_name).collect(),
            ..ring::default_provider()
        };
        Self::of(provider, authority.0.der(), &[&TLS13], None)
    }

    fn with(
        root: &CertificateDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> Self {
        Self::of(ring::default_provider(), root, versions, own)
    }

    fn of(
        provider: CryptoProvider,
        root: &CertificateDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivatePkcs8KeyDer::from(own.key.serialize_der());
                let key = PrivateKeyDer::from(key);
                let own = vec![own.der.clone()];
                builder.with_client_auth_cert(own, key).expect("a client")
            }
        };
        Self(Arc::new(config))
    }

    /// As the TLS library takes it.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// A connection to `to`, over which `name` is asked for; the handshake is over.
    pub(crate) fn connect(&self, to: SocketAddr, name: &str) -> io::Result<Secure> {
        self.over(dial(to)?, name)
    }

    /// The same over a connection that is there.
    pub(crate) fn over(&self, mut tcp: TcpStream, name: &str) -> io::Result<Secure> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        let mut connection = connection.map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Secure(StreamOwned::new(connection, tcp)))
    }
}

/// A bare connection.
pub(crate) fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(to)?;
    tcp.set_read_timeout(Some(patience()))?;
    tcp.set_write_timeout(Some(patience()))?;
    Ok(tcp)
}

/// A connection with TLS.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

/// An answer whose body has a length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl Secure {
    /// What `host` answers.
    pub(crate) fn get(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        ask(&mut self.0, host, path)
    }

    /// What it was shown.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        let chain = self.0.conn.peer_certificates().expect("it was shown one");
        chain[0].clone().into_owned()
    }

    /// The cipher that was agreed on.
    pub(crate) fn suite(&self) -> Option<CipherSuite> {
        Some(self.0.conn.negotiated_cipher_suite()?.suite())
    }

    /// Whether it is an earlier session that goes on.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// What `host` answers over `stream`.
pub(crate) fn ask(stream: &mut (impl Read + Write), host: &str, path: &str) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut answer = Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        head,
        body: String::new(),
    };
    let length = answer.field("content-length").map(str::parse::<usize>);
    let mut body = vec![0; length.and_then(Result::ok).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    answer.body = String::from_utf8(body).map_err(io::Error::other)?;
    Ok(answer)
}
