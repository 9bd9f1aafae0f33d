//! The listening sockets. They are opened once and kept for the supervisor's whole life, so that a connection in
//! a backlog outlives any worker.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use nix::sys::socket::Backlog;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

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
    /// Of an IPv6 socket: whether IPv4 clients can connect to it.
    pub(crate) takes_ipv4: bool,
}

/// A socket for workers to accept on.
#[derive(Debug)]
pub(crate) enum ForWorkers {
    /// The one that they have under this address.
    Kept(SocketAddr),
    /// Another one, with its address.
    New(SocketAddr, OwnedFd),
}

/// Whether `ipv4` and `ipv6` stand for all addresses of the two kinds, on one port.
fn is_ipv4_of(ipv4: SocketAddr, ipv6: SocketAddr) -> bool {
    let both = ipv4.is_ipv4() && ipv6.is_ipv6() && ipv4.port() == ipv6.port();
    both && ipv4.port() != 0 && ipv4.ip().is_unspecified() && ipv6.ip().is_unspecified()
}

fn bind_ipv6_alone(address: SocketAddr) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    // As the standard library does it: a port whose last connections are still to be forgotten is free.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(TcpListener::from(socket))
}

impl Listening {
    /// Whether its socket takes what `address`, for all of IPv4, would: the system lets nobody listen there besides.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        self.takes_ipv4 && is_ipv4_of(address, self.bound)
    }

    /// On a `socket` that is open already.
    ///
    /// # Errors
    /// If the system does not tell its address.
    pub(crate) fn on(wanted: SocketAddr, socket: &TcpListener) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let takes_ipv4 = bound.is_ipv6() && !sockopt::ipv6_v6only(socket)?;
        Ok(Self {
            wanted,
            bound,
            takes_ipv4,
        })
    }
}

/// Opens a non-blocking listening socket. Port 0 takes any free one; ask the socket which.
///
/// # Errors
/// If the address is taken or not ours.
pub(crate) fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    listen_beside(key, address, &[])
}

/// The same beside the `others` that are wanted: an IPv6 socket for all addresses takes IPv4 clients too, unless one of the
/// others is for them.
///
/// # Errors
/// If the address is taken or not ours.
pub(crate) fn listen_beside(
    key: &'static str,
    address: SocketAddr,
    others: &[SocketAddr],
) -> Result<TcpListener, ListenError> {
    let open = || {
        let listener = if others.iter().any(|other| is_ipv4_of(*other, address)) {
            bind_ipv6_alone(address)?
        } else {
            TcpListener::bind(address)?
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_ipv4_and_all_of_ipv6_share_a_port() {
        let any4: SocketAddr = "0.0.0.0:0".parse().unwrap();
        // IPv6 beside IPv4.
        let four = listen("listen", any4).unwrap();
        let port = four.local_addr().unwrap().port();
        let any4 = SocketAddr::new(any4.ip(), port);
        let any6 = SocketAddr::new("::".parse().unwrap(), port);
        let six = listen_beside("listen", any6, &[any4, any6]).unwrap();
        assert!(!Listening::on(any6, &six).unwrap().covers(any4));
        drop(four);
        // IPv4 beside IPv6.
        let four = listen_beside("listen", any4, &[any4, any6]).unwrap();
        drop((four, six));
        // IPv6 alone takes both, so nothing has to be opened for IPv4.
        let six = listen("listen", any6).unwrap();
        let six = Listening::on(any6, &six).unwrap();
        assert!(six.covers(any4));
        assert!(!six.covers(SocketAddr::new("127.0.0.1".parse().unwrap(), port)));
        assert!(!six.covers(SocketAddr::new(any4.ip(), port ^ 1)));
    }
}
