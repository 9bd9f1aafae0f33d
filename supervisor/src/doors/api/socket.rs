//! The API's socket: opened once, inherited by the next supervisor.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use anyhow::Context;
use tpp::config::ApiListen;

use crate::{doors::private_socket::PrivateSocket, succession::Takeover, system::sockets::listen};

/// The key it comes from, as errors name it.
const KEY: &str = "api.listen";

/// Where the API is asked.
#[derive(Debug)]
pub(crate) enum ApiSocket {
    /// From this machine or from outside.
    Tcp {
        /// Not blocking.
        listener: TcpListener,
        /// As it was bound.
        address: SocketAddr,
    },
    /// By our own user and root.
    Unix {
        /// The socket and its file.
        socket: PrivateSocket,
        /// Where it is.
        path: PathBuf,
    },
}

impl ApiSocket {
    /// The one that a predecessor left, or a new one.
    ///
    /// # Errors
    /// If it cannot be opened; the error names the key.
    pub(crate) fn open(wanted: &ApiListen, takeover: &mut Takeover) -> anyhow::Result<Self> {
        Ok(match wanted {
            ApiListen::Tcp(address) => {
                let listener = match takeover.take_api(*address) {
                    Some(socket) => socket,
                    None => listen(KEY, *address)?,
                };
                let address = listener.local_addr().context("address of api.listen")?;
                Self::Tcp { listener, address }
            }
            ApiListen::Unix(path) => Self::Unix {
                socket: match takeover.take_api_at(path) {
                    Some(socket) => PrivateSocket::inherited(KEY, path, socket)?,
                    None => PrivateSocket::bind(KEY, path)?,
                },
                path: path.clone(),
            },
        })
    }

    /// Its address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { address, .. } => Some(*address),
            Self::Unix { .. } => None,
        }
    }

    /// The listening socket.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp { listener, .. } => listener.as_fd(),
            Self::Unix { socket, .. } => socket.listener.as_fd(),
        }
    }
}

impl fmt::Display for ApiSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}
