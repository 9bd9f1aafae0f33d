//! Meeting the workers of a supervisor that is gone, each at a socket of its own beside the control socket.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, getsockopt, socket, sockopt::PeerCredentials,
    },
    unistd::geteuid,
};
use rustix::{
    net::{RecvFlags, recv},
    process::{Signal, pidfd_send_signal},
};
use tpp::handover::{Role, meeting::meeting_places, passing, word};
use tracing::{debug, warn};

use crate::system::pidfd::open_pidfd;

/// How long a worker that has begun to answer, and the others once one has, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A worker that lives.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) pid: u32,
    path: PathBuf,
    pidfd: OwnedFd,
    channel: UnixStream,
}

/// All workers that can be met at `prefix`. The places of dead ones are cleared away.
pub(super) fn workers(prefix: &Path) -> Vec<Met> {
    let places = meeting_places(prefix).unwrap_or_else(|error| {
        warn!(%error, prefix = %prefix.display(), "cannot look for workers");
        Vec::new()
    });
    places
        .into_iter()
        .filter_map(|(_, path)| match meet(&path) {
            Ok(met) => Some(met),
            Err(error) => {
                debug!(path = %path.display(), %error, "no worker to be met");
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    // Nobody listens any more. Left behind at worst: the next one clears it away.
                    let _ = std::fs::remove_file(&path);
                }
                None
            }
        })
        .collect()
}

fn meet(path: &Path) -> io::Result<Met> {
    let channel = connect(path)?;
    // Of the process that listens: known even if it is stopped and accepts nothing.
    let peer = getsockopt(&channel, PeerCredentials)?;
    if peer.uid() != geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "the socket of another user, {}",
            peer.uid()
        )));
    }
    let pid = u32::try_from(peer.pid()).map_err(io::Error::other)?;
    let pidfd = open_pidfd(pid)?;
    // The number may have become another's. A listener that is still open now was so when the descriptor was opened.
    if !is_open(&channel) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(Met {
        pid,
        path: path.to_owned(),
        pidfd,
        channel,
    })
}

fn is_open(channel: &UnixStream) -> bool {
    let nothing_said = recv(
        channel,
        &mut [0_u8][..],
        RecvFlags::PEEK | RecvFlags::DONTWAIT,
    );
    matches!(nothing_said, Err(rustix::io::Errno::AGAIN))
}

/// What the workers have from their supervisor, of those that answer: the first within `patience`, the others little later.
/// They are asked over connections of their own: an answer that comes too late must not lie, sockets in it, in a channel
/// that nobody reads.
pub(super) fn ask_all(met: &[Met], patience: Duration) -> Vec<Vec<(Role, OwnedFd)>> {
    let mut asked: Vec<_> = met
        .iter()
        .filter_map(|worker| Some((worker.pid, ask(&worker.path).ok()?)))
        .collect();
    let mut deadline = Instant::now() + patience;
    let mut answers = Vec::new();
    while !asked.is_empty() {
        let answering = wait_for_one(&asked, deadline);
        let Some(at) = answering else {
            break;
        };
        let (pid, connection) = asked.swap_remove(at);
        let received = connection
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .and_then(|()| passing::receive(&connection));
        match received {
            Ok(descriptors) => {
                answers.push(descriptors);
                deadline = deadline.min(Instant::now() + ANSWER_TIMEOUT);
            }
            Err(error) => warn!(pid, %error, "worker does not hand over what it has"),
        }
    }
    for (pid, _) in asked {
        warn!(pid, "worker does not say what it has");
    }
    answers
}

/// The first of `asked` that answers, or is gone.
fn wait_for_one(asked: &[(u32, UnixStream)], deadline: Instant) -> Option<usize> {
    loop {
        let mut watched: Vec<_> = asked
            .iter()
            .map(|(_, connection)| PollFd::new(connection.as_fd(), PollFlags::POLLIN))
            .collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut watched, timeout) {
            Ok(0) if left.is_zero() => return None,
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return watched.iter().position(|one| one.any().unwrap_or(true)),
            Err(_) => return None,
        }
    }
}

fn ask(path: &Path) -> io::Result<UnixStream> {
    let connection = connect(path)?;
    io::Write::write_all(&mut &connection, &[word::HAND_OVER])?;
    Ok(connection)
}

/// Connects, or fails at once: a worker that is stopped takes nobody out of its backlog.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(false)?;
    Ok(socket)
}

impl Met {
    /// Kills it and waits for its end, which comes at once.
    pub(super) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let mut ended = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ended, PollTimeout::from(1000_u16));
    }

    /// Takes it apart.
    pub(super) fn into_parts(self) -> (u32, OwnedFd, UnixStream) {
        (self.pid, self.pidfd, self.channel)
    }
}
