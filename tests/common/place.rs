//! An address that nobody else gets while nobody listens on it: not as the near end of a connection either.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getsockname, setsockopt, socket,
    sockopt,
};

/// An address that is held by a socket that never listens. Beside it a listener can be bound there, by
/// any program whose listeners have `SO_REUSEADDR`, again and again. A listener that was bound to find a
/// free port and closed is no such thing: others get the port, and a child that was just forked listens on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

impl Place {
    /// A port of the system's choice on loopback.
    pub(crate) fn any() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// This address; a port of the system's choice if it has none.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let socket =
            socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        setsockopt(&socket, sockopt::ReuseAddr, &true).expect("an option of a socket");
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).expect("bind a place");
        let place: SockaddrStorage =
            getsockname(socket.as_raw_fd()).expect("a bound socket's name");
        let port = match (place.as_sockaddr_in(), place.as_sockaddr_in6()) {
            (Some(place), _) => place.port(),
            (None, Some(place)) => place.port(),
            (None, None) => address.port(),
        };
        Self {
            address: SocketAddr::new(address.ip(), port),
            _socket: socket,
        }
    }
}
