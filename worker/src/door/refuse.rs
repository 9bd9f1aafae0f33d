//! Connections for which there is no room: each is told so, and closed.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Shutdown},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tpp::clients::Full;
use tracing::warn;

use crate::{
    admission::limit::Lingering,
    http1::write::{self, Seal},
    message::reply::Reply,
    worker::Worker,
};

/// How long a client has to read why.
const LINGER_LIMIT: Duration = Duration::from_secs(2);
/// What it may send meanwhile, bytes.
const LINGER_BYTES: usize = 256 * 1024;
/// What is read at once of that.
const PIECE: usize = 8 * 1024;

/// Says why, counts it, and closes: once the client has read it, as far as it does so soon and not too many others are at it. Nothing
/// that it sends is looked at.
pub(crate) fn refuse(worker: &Arc<Worker>, tcp: std::net::TcpStream, address: IpAddr, full: Full) {
    let why = note_refused(worker, address, full);
    // What cannot be told is closed all the same.
    let told = tell(
        worker,
        &tcp,
        &Reply::too_many(why).after(worker.retry_after()),
    );
    if told.is_ok()
        && let Some(lingering) = worker.limit.linger()
        && let Ok(tcp) = TcpStream::from_std(tcp)
    {
        tokio::spawn(linger(tcp, lingering));
    }
}

/// Counts it, and returns why.
pub(crate) fn note_refused(worker: &Worker, address: IpAddr, full: Full) -> &'static str {
    let counters = worker.counters();
    let (counter, why) = match full {
        Full::Total => (
            &counters.refused_total,
            "as many connections are open as client.max_connections allows",
        ),
        Full::Address => (
            &counters.refused_address,
            "as many connections of this address are open as client.max_connections_per_address allows",
        ),
        Full::Here => (
            &counters.refused_descriptors,
            "no file descriptors are left for more connections",
        ),
    };
    counter.add(1);
    if worker.limit.muffler.may_speak() {
        warn!(worker = worker.seat(), %address, why, "connections refused");
    }
    why
}

/// Writes the whole answer and ends our side. A new connection takes so little at once.
fn tell(worker: &Worker, mut tcp: &std::net::TcpStream, reply: &Reply) -> io::Result<()> {
    tcp.set_nonblocking(true)?;
    let mut answer = BytesMut::new();
    let seal = Seal {
        close: true,
        keep_alive: None,
        date: &worker.clock.date_line(),
        fields: b"",
        hsts: b"",
        request_id: b"",
    };
    write::reply(reply, None, seal, &mut answer);
    tcp.write_all(&answer)?;
    tcp.shutdown(Shutdown::Write)
}

/// Waits for the client's end. Closing at once would reset the connection under what it was told, should it have sent a request.
async fn linger(mut tcp: TcpStream, _lingering: Lingering) {
    let read = async {
        let (mut piece, mut left) = ([0; PIECE], LINGER_BYTES);
        while let Ok(read @ 1..) = tcp.read(&mut piece).await
            && read < left
        {
            left -= read;
        }
    };
    // In time or not, it is closed.
    let _ = timeout(LINGER_LIMIT, read).await;
}
