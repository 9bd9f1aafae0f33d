//! An address that nobody else gets while the upstream is down: not as the near end of a connection either.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getsockname, setsockopt, socket,
    sockopt,
};

/// A socket that is bound to `address` and never listens, and where that is. Beside it a listener can be bound there, again and again.
pub(super) fn hold(address: SocketAddr) -> (OwnedFd, SocketAddr) {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    setsockopt(&socket, sockopt::ReuseAddr, &true).expect("an option of a socket");
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).expect("bind the upstream's place");
    let place: SockaddrStorage = getsockname(socket.as_raw_fd()).expect("a bound socket's name");
    let port = match (place.as_sockaddr_in(), place.as_sockaddr_in6()) {
        (Some(place), _) => place.port(),
        (None, Some(place)) => place.port(),
        (None, None) => address.port(),
    };
    (socket, SocketAddr::new(address.ip(), port))
}
