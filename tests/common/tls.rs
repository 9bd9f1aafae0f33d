//! A door of TLS before the upstream, with a certificate made for the test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The door. Dropped, it is shut, and every connection through it is gone.
#[derive(Debug)]
pub(crate) struct TlsDoor {
    address: SocketAddr,
    authority: String,
    /// The connections through it.
    passing: Arc<Mutex<JoinSet<()>>>,
    runtime: Runtime,
}

impl TlsDoor {
    /// A door to `upstream` whose certificate is for `name`.
    pub(crate) fn to(upstream: SocketAddr, name: &str) -> Self {
        let (authority, config) = certify(name);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("bind a port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let passing = Arc::<Mutex<JoinSet<()>>>::default();
        let all = Arc::clone(&passing);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut all = all.lock().expect("short");
                while all.try_join_next().is_some() {}
                all.spawn(pass(acceptor.clone(), stream, upstream));
            }
        });
        Self {
            address,
            authority,
            passing,
            runtime,
        }
    }

    /// Closes every connection through it; returns when they are closed.
    #[allow(
        dead_code,
        reason = "not every test program with a door cuts what passes it"
    )]
    pub(crate) fn cut_connections(&self) {
        let mut cut = std::mem::take(&mut *self.passing.lock().expect("short"));
        self.runtime.block_on(cut.shutdown());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority that signed for this door, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

/// Passes one connection on, in both directions, until it ends.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, upstream: SocketAddr) {
    // A handshake that the other side breaks off is what some of the tests are about.
    let Ok(mut inside) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut onward) = TcpStream::connect(upstream).await else {
        return;
    };
    drop(copy_bidirectional(&mut inside, &mut onward).await);
}

/// A new authority, in PEM, and a server's configuration with its certificate for `name`.
fn certify(name: &str) -> (String, ServerConfig) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params =
        CertificateParams::new(vec![name.to_owned()]).expect("a name that can be certified");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("key and certificate match");
    (authority.pem(), config)
}
