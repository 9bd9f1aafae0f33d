//! The listening sockets. They are opened once and kept for the supervisor's whole life, so that a connection in
//! a backlog outlives any worker.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use nix::sys::socket::Backlog;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} ({key})")]
pub(crate) struct ListenError {
    /// The configuration key it came from.
    pub(crate) key: &'static str,
    /// The address.
    pub(crate) address: SocketAddr,
    /// What the system said.
    #[source]
    pub(crate) source: io::Error,
}

/// An address that takes clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// As the configuration says.
    pub(crate) wanted: SocketAddr,
    /// As it was bound: of port 0, the port that the system chose.
    pub(crate) bound: SocketAddr,
}

/// A socket for workers to accept on.
#[derive(Debug)]
pub(crate) enum ForWorkers {
    /// The one that they have under this address.
    Kept(SocketAddr),
    /// Another one, with its address.
    New(SocketAddr, OwnedFd),
}

impl Listening {
    /// On a `socket` that is open already.
    ///
    /// # Errors
    /// If the system does not tell its address.
    pub(crate) fn on(wanted: SocketAddr, socket: &TcpListener) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        Ok(Self { wanted, bound })
    }
}

/// Opens a non-blocking listening socket. Port 0 takes any free one; ask the socket which.
///
/// # Errors
/// If the address is taken or not ours.
pub(crate) fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        // All workers accept from the one open file: blocking in one would freeze it while another takes the
        // connection.
        listener.set_nonblocking(true)?;
        // std's backlog of 128 is soon full while a worker is replaced; -1 asks for as much as the system allows.
        nix::sys::socket::listen(&listener, Backlog::MAXALLOWABLE)?;
        Ok(listener)
    };
    open().map_err(|source| ListenError {
        key,
        address,
        source,
    })
}
