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

/// Opens a socket on `address`, of IPv6 for IPv6 alone if `alone`, and begins to listen. Sockets of ours that listen on the
/// same port for more or fewer addresses, `beside`, share it: the system allows that to sockets of one user that ask for
/// it, and gives each client to the one whose address is the closest.
fn open_beside(
    address: SocketAddr,
    alone: bool,
    beside: &[TcpListener],
) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if alone {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // As the standard library does it: a port whose last connections are still to be forgotten is free.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    let has_its_port = |one: &&TcpListener| {
        one.local_addr()
            .is_ok_and(|one| one.port() == address.port())
    };
    for one in beside.iter().filter(has_its_port) {
        sockopt::set_socket_reuseport(one, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    bind(&socket, &address)?;
    // All workers accept from the one open file: blocking in one would freeze it while another takes the connection.
    rustix::io::ioctl_fionbio(&socket, true)?;
    // As much as the system allows: a small backlog is soon full while a worker is replaced.
    nix::sys::socket::listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(TcpListener::from(socket))
}

impl Listening {
    /// Whether its socket takes what `address`, for all of IPv4, would: the system lets nobody listen there besides.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        self.takes_ipv4 && is_ipv4_of(address, self.bound)
    }

    /// Whether its socket is for more addresses than one that is bound to `address`, that one among them.
    pub(crate) fn includes(&self, address: SocketAddr) -> bool {
        let of_its_kind = self.takes_ipv4 || address.is_ipv4() == self.bound.is_ipv4();
        let is_wider = self.bound.ip().is_unspecified() && self.bound != address;
        of_its_kind && is_wider && self.bound.port() == address.port()
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
    listen_beside(key, address, &[], &[])
}

/// The same beside the `others` that are wanted: an IPv6 socket for all addresses takes IPv4 clients too, unless one of the
/// others is for them. Those of `own`, which are open already, may have the port for other addresses.
///
/// # Errors
/// If the address is taken or not ours.
pub(crate) fn listen_beside(
    key: &'static str,
    address: SocketAddr,
    others: &[SocketAddr],
    own: &[TcpListener],
) -> Result<TcpListener, ListenError> {
    let alone = others.iter().any(|other| is_ipv4_of(*other, address));
    open_beside(address, alone, own).map_err(|source| ListenError {
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
        let six = listen_beside("listen", any6, &[any4, any6], &[]).unwrap();
        assert!(!Listening::on(any6, &six).unwrap().covers(any4));
        drop(four);
        // IPv4 beside IPv6.
        let four = listen_beside("listen", any4, &[any4, any6], &[]).unwrap();
        drop((four, six));
        // IPv6 alone takes both, so nothing has to be opened for IPv4.
        let six = listen("listen", any6).unwrap();
        let six = Listening::on(any6, &six).unwrap();
        assert!(six.covers(any4));
        assert!(!six.covers(SocketAddr::new("127.0.0.1".parse().unwrap(), port)));
        assert!(!six.covers(SocketAddr::new(any4.ip(), port ^ 1)));
    }

    #[test]
    fn a_port_of_our_own_is_shared_by_more_and_by_fewer_addresses_and_by_nobody_else() {
        let (one, any4, any6) = ("127.0.0.1:0", "0.0.0.0:0", "[::]:0");
        for (first, then) in [
            (one, any4),
            (any4, one),
            (one, any6),
            (any6, one),
            (any4, any6),
        ] {
            let open = |address: &str, port, own: &[TcpListener]| {
                let mut address: SocketAddr = address.parse().unwrap();
                address.set_port(port);
                let socket = listen_beside("listen", address, &[], own)?;
                let listening = Listening::on(address, &socket).unwrap();
                Ok::<_, ListenError>((socket, listening))
            };
            let (old, old_place) = open(first, 0, &[]).unwrap();
            let port = old_place.bound.port();
            let taken = open(then, port, &[]).unwrap_err();
            assert_eq!(
                taken.source.kind(),
                io::ErrorKind::AddrInUse,
                "{first}, {then}"
            );
            let own = [old];
            let (new, new_place) = open(then, port, &own).unwrap();
            let widens = first == one || then == any6;
            assert_eq!(
                new_place.includes(old_place.bound),
                widens,
                "{first}, {then}"
            );
            assert_eq!(
                old_place.includes(new_place.bound),
                !widens,
                "{first}, {then}"
            );
            // Whoever has no socket of ours is refused as ever.
            for address in [first, then] {
                assert!(
                    open(address, port, &[]).is_err(),
                    "{first}, {then}, {address}"
                );
            }
            // A client is one of the closer address's.
            let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let closer = if widens { &own[0] } else { &new };
            let (_, peer) = closer.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    }
}
