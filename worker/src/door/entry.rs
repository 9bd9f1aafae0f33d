//! A client's way in where it is not a plain one: the header of the proxy that brings it, then the handshake. Both together
//! have one bound, and whoever is not in by then is let go.

use std::{io, net::SocketAddr, os::fd::AsRawFd, sync::Arc};

use pingora_core::protocols::{SocketDigest, Stream};
use rustls::server::Acceptor;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tpp::{config::DEFAULT_DOMAIN, shared::Counter};
use tracing::debug;

use crate::{
    admission::{
        gates::{Choice, Gate, Shop},
        limit::Place,
    },
    door::{proxy_protocol, refuse::note_refused},
    timers::Timer,
    wire::{tcp::Tcp, tls::Tls},
    worker::Worker,
};

/// The alert `unrecognized_name`, fatal, as a record (RFC 6066, 3): rustls has no word for it before a handshake has settings.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A connection that was accepted, from `address`, which has its place. It does not block.
pub(crate) struct Newcomer {
    pub(crate) tcp: std::net::TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) place: Place,
}

impl Newcomer {
    /// The bare stream.
    ///
    /// # Errors
    /// If the runtime does not take it.
    pub(crate) fn plain(self) -> io::Result<Stream> {
        let Self {
            tcp,
            address,
            place,
        } = self;
        let tcp = TcpStream::from_std(tcp)?;
        Ok(Box::new(wrapped(tcp, address, place)))
    }

    /// The stream behind `gate`. `None`: the client is not let in.
    pub(crate) async fn through(self, worker: &Worker, gate: &Gate) -> Option<Stream> {
        let address = self.address;
        let timer = worker.timers.add_here().await;
        let admitted = self.admitted(worker, gate, &timer);
        match timer
            .within(&worker.clock, Some(gate.patience), admitted)
            .await
        {
            Some(Ok(stream)) => return Some(stream),
            Some(Err(error)) => {
                debug!(worker = worker.seat(), %address, %error, "client not let in")
            }
            None => debug!(worker = worker.seat(), %address, "client not let in: too late"),
        }
        None
    }

    async fn admitted(
        self,
        worker: &Worker,
        gate: &Gate,
        timer: &Arc<Timer>,
    ) -> io::Result<Stream> {
        let Self {
            tcp,
            mut address,
            mut place,
        } = self;
        let mut tcp = TcpStream::from_std(tcp)?;
        if gate.proxy_protocol
            && let Some(client) = introduced(worker, &mut tcp, address).await?
        {
            address = client;
            // Out before in: it is never counted twice.
            drop(place);
            place = worker
                .admit(client.ip())
                .map_err(|full| io::Error::other(note_refused(worker, client.ip(), full)))?;
        }
        let tcp = wrapped(tcp, address, place);
        match &gate.tls {
            Some(shop) => {
                let _under_way = worker.handshakes.begin(timer);
                Ok(Box::new(secured(worker, tcp, shop).await?))
            }
            None => Ok(Box::new(tcp)),
        }
    }
}

fn wrapped(tcp: TcpStream, address: SocketAddr, place: Place) -> Tcp {
    let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
    // The cell is new, so this cannot fail; without it the address would be asked for once more.
    let _ = digest.peer_addr.set(Some(address.into()));
    Tcp::of_client(tcp, digest, place)
}

/// Something that has begun. Dropped before it is over, it has come to nothing, and is counted as that.
struct Begun<'c> {
    failed: &'c Counter,
    is_over: bool,
}

impl<'c> Begun<'c> {
    fn new(failed: &'c Counter) -> Self {
        Self {
            failed,
            is_over: false,
        }
    }

    fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.failed.add(1);
        }
    }
}

/// Whose connection it is that comes from `proxy`, by the header that it begins with; `None`: its own.
async fn introduced(
    worker: &Worker,
    tcp: &mut TcpStream,
    proxy: SocketAddr,
) -> io::Result<Option<SocketAddr>> {
    let begun = Begun::new(&worker.counters().refused_proxy_header);
    if !worker.trusts(proxy.ip()) {
        return Err(io::Error::other("no proxy of trusted_proxies"));
    }
    let client = proxy_protocol::read(tcp).await?;
    begun.end();
    Ok(client)
}

/// The handshake of a client that is let in, counted by what comes of it.
async fn secured(worker: &Worker, tcp: Tcp, shop: &Shop) -> io::Result<Tls> {
    let counters = worker.counters();
    let begun = Begun::new(&counters.handshakes_failed);
    let shaken = shake(worker, tcp, shop).await?;
    begun.end();
    let Some(tls) = shaken else {
        counters.handshakes_full.add(1);
        return Err(io::Error::other("it was an authority's challenge"));
    };
    if tls.secured().is_resumed {
        counters.handshakes_resumed.add(1);
    } else {
        counters.handshakes_full.add(1);
    }
    Ok(tls)
}

/// The handshake. `None`: it was all that the client wanted, an authority that checks on a host.
async fn shake(worker: &Worker, tcp: Tcp, shop: &Shop) -> io::Result<Option<Tls>> {
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), tcp);
    let start = (&mut hello).await?;
    if let Some(settings) = shop.challenges.proof(&start.client_hello()) {
        start.into_stream(settings).await?.shutdown().await?;
        return Ok(None);
    }
    let Some(Choice {
        certified,
        settings,
    }) = choose(worker, &start.client_hello(), shop)
    else {
        let mut tcp = start.io;
        tcp.write_all(&UNRECOGNIZED_NAME).await?;
        return Err(io::Error::other(
            "no certificate is for the name it asks for",
        ));
    };
    let stream = start.into_stream(settings).await?;
    Ok(Some(Tls::new(stream, certified)))
}

fn choose(worker: &Worker, hello: &rustls::server::ClientHello<'_>, shop: &Shop) -> Option<Choice> {
    let view = worker.view();
    let host = hello
        .server_name()
        .and_then(|name| view.routes.find(Some(name.as_bytes())));
    let named = host
        .map(|site| &site.plan.host)
        // That one is for names that nobody has written down: what it names need not be for this one.
        .filter(|host| host.domain != DEFAULT_DOMAIN);
    shop.choose(hello, named.map(|host| host.certificate.as_str()))
}
