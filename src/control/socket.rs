//! A Unix socket for our own user alone.

use std::{
    os::{fd::AsRawFd, unix::net::UnixListener},
    path::Path,
};

use nix::sys::{
    socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
    stat::{Mode, fchmod},
};

/// Binds `path`, readable and writable for our user alone, and listens there.
///
/// # Errors
/// If something stands there, or the path is too long or not ours to write.
pub fn private_listener(path: &Path) -> nix::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // Linux gives the file the mode of the socket: there is no instant in which it is open to all, and
    // no umask to change under other threads.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::new(128)?)?;
    Ok(UnixListener::from(socket))
}
