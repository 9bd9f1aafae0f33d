//! Accepting on the inherited sockets, in fair shares.
//!
//! All workers wait on the same sockets, so that a connection in a backlog is lost with none of them. A crowd of connections would
//! all go to the worker that looks first, so one that has more than another gives way to it for a moment before it accepts.
//! Pingora's own accept loop knows one process only, and between its services and what they serve lie two futures more, which each look
//! at a connection would pass through.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::BytesMut;
use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt},
};
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinSet,
    time::sleep,
};
use tracing::{debug, error, warn};

use crate::{
    admission::gates::Gate,
    door::{
        connection,
        entry::Newcomer,
        preface,
        refuse::{note_refused, refuse},
    },
    upstream::transport::KEEPALIVE,
    worker::Worker,
};

/// How long a worker gives way at once.
const PAUSE: Duration = Duration::from_millis(1);
/// How often it gives way before it accepts all the same: the other may be busy.
const PAUSES: usize = 3;
/// So many failed accepts in a row are not the connections' trouble.
const MANY_FAILED: u32 = 16;
/// How long it waits when descriptors have run out, or no accept succeeds.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(500);

/// The sockets being accepted on.
#[derive(Debug)]
pub(crate) struct Accepting {
    loops: JoinSet<()>,
}

impl Accepting {
    /// Accepts no more. Connections that wait in a backlog are left to the other workers.
    pub(crate) fn stop(&mut self) {
        self.loops.abort_all();
    }

    /// Resolves if accepting ends unasked.
    pub(crate) async fn failure(&mut self) -> String {
        match self.loops.join_next().await {
            Some(Err(error)) => error.to_string(),
            Some(Ok(())) => "a socket is gone".to_owned(),
            None => "there is no socket to accept on".to_owned(),
        }
    }
}

/// Begins to accept.
///
/// # Errors
/// If a descriptor is no listening socket.
pub(crate) fn accept(
    worker: &Arc<Worker>,
    sockets: Vec<(String, OwnedFd)>,
) -> anyhow::Result<Accepting> {
    let mut loops = JoinSet::new();
    for (address, socket) in sockets {
        let listener = watched(socket).with_context(|| format!("accept on {address}"))?;
        loops.spawn(accept_on(listener, Arc::clone(worker)));
    }
    Ok(Accepting { loops })
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
)]
fn watched(socket: OwnedFd) -> io::Result<AsyncFd<TcpListener>> {
    let listener = TcpListener::from(socket);
    // A blocking socket would stop the whole worker in its first accept.
    listener.set_nonblocking(true)?;
    // Accepted sockets have these from the listening one: set once, not for each connection.
    set_options(&listener)?;
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// No delay, and a client whose host vanished is noticed.
fn set_options(listener: &TcpListener) -> nix::Result<()> {
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    setsockopt(listener, sockopt::KeepAlive, &true)?;
    setsockopt(listener, sockopt::TcpKeepIdle, &seconds(KEEPALIVE.idle))?;
    setsockopt(
        listener,
        sockopt::TcpKeepInterval,
        &seconds(KEEPALIVE.interval),
    )?;
    setsockopt(listener, sockopt::TcpKeepCount, &KEEPALIVE.probes)
}

async fn accept_on(listener: AsyncFd<TcpListener>, worker: Arc<Worker>) {
    let mut failed = 0;
    let at = listener.get_ref().local_addr().ok();
    while let Ok(mut ready) = listener.readable().await {
        give_way(&worker).await;
        match accept_one(listener.get_ref()) {
            Ok((tcp, address)) => {
                failed = 0;
                let gate = at.and_then(|at| worker.gate(at));
                receive(tcp, address, gate, &worker);
                // The connections that are open get their turn between two new ones.
                tokio::task::yield_now().await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => {
                failed += 1;
                endure(&worker, &error, failed).await;
            }
        }
    }
}

/// The next connection, not blocking from the first: by the standard library it is one system call more.
fn accept_one(listener: &TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (tcp, address) = acceptfrom_with(listener, flags)?;
    let address = address
        .and_then(|address| SocketAddr::try_from(address).ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok((tcp.into(), address))
}

/// Serves a connection from `address`, if there is room; `gate`: it is to come through there.
fn receive(
    tcp: std::net::TcpStream,
    address: SocketAddr,
    gate: Option<Arc<Gate>>,
    worker: &Arc<Worker>,
) {
    let ip = address.ip();
    let admitted = match &gate {
        Some(gate) if gate.proxy_protocol => worker.admit_proxy(ip),
        _ => worker.admit(ip),
    };
    match admitted {
        Ok(place) => {
            let newcomer = Newcomer {
                tcp,
                address,
                place,
            };
            match gate {
                None => take(newcomer, worker),
                Some(gate) => take_through(newcomer, gate, worker),
            }
        }
        // It would not understand a word before its handshake.
        Err(full) if gate.is_some_and(|gate| gate.tls.is_some()) => {
            note_refused(worker, ip, full);
        }
        Err(full) => refuse(worker, tcp, ip, full),
    }
}

/// Begins to let a connection in, and then to serve it.
fn take_through(newcomer: Newcomer, gate: Arc<Gate>, worker: &Arc<Worker>) {
    let worker = Arc::clone(worker);
    let inside = worker.enter();
    tokio::spawn(async move {
        if let Some(stream) = newcomer.through(&worker, &gate).await {
            match gate.http2 {
                Some(terms) => preface::serve(&worker, stream, terms).await,
                None => connection::serve(&worker, stream, BytesMut::new()).await,
            }
        }
        drop(inside);
    });
}

/// Begins to serve a connection.
fn take(newcomer: Newcomer, worker: &Arc<Worker>) {
    match newcomer.plain() {
        Ok(stream) => {
            let worker = Arc::clone(worker);
            let inside = worker.enter();
            tokio::spawn(async move {
                connection::serve(&worker, stream, BytesMut::new()).await;
                drop(inside);
            });
        }
        Err(error) => warn!(worker = worker.seat(), %error, "connection refused"),
    }
}

/// Lets a worker with fewer connections go first.
async fn give_way(worker: &Worker) {
    for _ in 0..PAUSES {
        let is_ahead = worker.desk.fewest_connections().is_some_and(|fewest| {
            // Once there are many, a few more or less do not matter. Where as many end at each moment, none is ahead for long:
            // to wait would only leave processors idle.
            let lead = worker.churn.ended_lately(worker.clock.now()) as u64;
            worker.connections() as u64 > fewest + (fewest / 8).max(lead)
        });
        if !is_ahead {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// The `failed`th accept in a row that failed: the connection's own trouble, or ours. A trouble that stays is not asked about
/// without end.
async fn endure(worker: &Worker, error: &io::Error, failed: u32) {
    if !is_to_pause(error, failed) {
        debug!(worker = worker.seat(), %error, "connection lost before it was accepted");
        return;
    }
    if worker.limit.muffler.may_speak() {
        error!(
            worker = worker.seat(),
            %error,
            "no connection can be accepted; those that are open go on"
        );
    }
    sleep(EXHAUSTED_PAUSE).await;
}

/// Whether the next accept is to wait after the `failed`th in a row that failed.
fn is_to_pause(error: &io::Error, failed: u32) -> bool {
    let is_ours = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    );
    is_ours || failed >= MANY_FAILED
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_listening_sockets_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = watched(listener.into()).unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let mut ready = listener.readable().await.unwrap();
        let (accepted, _) = ready
            .try_io(|listener| listener.get_ref().accept())
            .unwrap()
            .unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(nix::sys::socket::getsockopt(&accepted, sockopt::KeepAlive).unwrap());
        let idle = nix::sys::socket::getsockopt(&accepted, sockopt::TcpKeepIdle).unwrap();
        assert_eq!(u64::from(idle), KEEPALIVE.idle.as_secs());
    }

    #[test]
    fn an_accept_is_tried_again_at_once_unless_descriptors_are_out_or_many_fail_in_a_row() {
        let pauses = |errno: Errno, failed| is_to_pause(&errno.into(), failed);
        assert!(pauses(Errno::EMFILE, 1));
        for errno in [Errno::ECONNABORTED, Errno::EPERM, Errno::EPROTO] {
            assert!(!pauses(errno, 1) && !pauses(errno, MANY_FAILED - 1));
            assert!(pauses(errno, MANY_FAILED), "one that stays is no client's");
        }
    }
}
