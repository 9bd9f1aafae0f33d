//! Meeting the workers of a supervisor that is gone, each at a socket of its own beside the control socket.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};
use rustix::net::{RecvFlags, recv};
use tpp::estate::{Role, meeting_places, passing, word};
use tracing::{debug, warn};

use crate::process::open_pidfd;

/// How long a worker may take to send its descriptors. One that is stopped sends none, and is taken over all the same.
const WILL_TIMEOUT: Duration = Duration::from_secs(1);

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
    let channel = UnixStream::connect(path)?;
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

impl Met {
    /// What it has from its supervisor, over a connection of its own: an answer that comes too late must not lie,
    /// sockets in it, in a channel that nobody reads.
    pub(super) fn will(&self) -> Option<Vec<(Role, OwnedFd)>> {
        let ask = || {
            let connection = UnixStream::connect(&self.path)?;
            connection.set_read_timeout(Some(WILL_TIMEOUT))?;
            io::Write::write_all(&mut &connection, &[word::ESTATE])?;
            passing::receive(&connection)
        };
        ask()
            .inspect_err(
                |error| warn!(pid = self.pid, %error, "worker does not hand over what it has"),
            )
            .ok()
    }

    /// Takes it apart.
    pub(super) fn into_parts(self) -> (u32, OwnedFd, UnixStream) {
        (self.pid, self.pidfd, self.channel)
    }
}
