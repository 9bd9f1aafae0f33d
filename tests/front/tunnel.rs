//! A way to a tpp with TLS for clients without: so the harness's clients, and the judge that watches them, go through TLS.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_rustls::TlsConnector;

use super::browser::{Authority, Browser};

/// The way. Dropped, it is closed, and every connection through it is gone.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl Tunnel {
    /// A way to the host `name` at `to`.
    pub(crate) fn to(to: SocketAddr, name: &str, authority: &Authority) -> Self {
        let connector = TlsConnector::from(Browser::trusting(authority).config());
        let name = name.to_owned().try_into().expect("a name");
        let name: rustls::pki_types::ServerName<'static> = name;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let connector = Arc::new(connector);
        runtime.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (connector, name) = (Arc::clone(&connector), name.clone());
                tokio::spawn(async move {
                    let onward = TcpStream::connect(to).await?;
                    let mut onward = connector.connect(name, onward).await?;
                    copy_bidirectional(&mut client, &mut onward).await
                });
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }
}
