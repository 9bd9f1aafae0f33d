//! A Unix socket of the supervisor's own: one name, one supervisor, one user.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use tpp::control::private_listener;

/// How often, and at what distance, to try for the turn to bind.
const TURN_TRIES: u32 = 100;
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another supervisor is running at {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else stands there, and is left alone.
    #[error("{what} {}: the file that is there is not a socket", path.display())]
    NotASocket {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The operating system's reason.
    #[error("{what} {}", path.display())]
    Io {
        /// What it is for.
        what: &'static str,
        /// The socket.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// The bound socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct PrivateSocket {
    pub(crate) listener: UnixListener,
    pub(crate) file: SocketFile,
}

impl PrivateSocket {
    /// Binds `path`, readable and writable for our user alone. A socket file that nobody listens on any
    /// more is replaced.
    ///
    /// # Errors
    /// [`SocketError`], which names the path.
    pub(crate) fn bind(what: &'static str, path: &Path) -> Result<Self, SocketError> {
        let failed = |source: io::Error| SocketError::Io {
            what,
            path: path.to_owned(),
            source,
        };
        let _turn = turn(path);
        remove_stale(what, path)?;
        let listener = private_listener(path).map_err(|errno| failed(errno.into()))?;
        let file = SocketFile::of(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// The socket at `path`, which a predecessor bound.
    ///
    /// # Errors
    /// [`SocketError`], which names the path.
    pub(crate) fn inherited(
        what: &'static str,
        path: &Path,
        listener: OwnedFd,
    ) -> Result<Self, SocketError> {
        let failed = |source: io::Error| SocketError::Io {
            what,
            path: path.to_owned(),
            source,
        };
        let file = match SocketFile::of(path) {
            Ok(file) => file,
            // Somebody deleted it: without a name the socket is of no use.
            Err(_) => return Self::bind(what, path),
        };
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, file })
    }
}

/// Keeps apart supervisors that start together: each would find the other's socket stale in the instant
/// before it listens. The turn ends with the file. It is an insurance only, so it is not waited for for
/// long (whoever may read the directory may hold its lock), and `bind` tells what is wrong with the directory.
fn turn(path: &Path) -> Option<File> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let directory = File::open(directory).ok()?;
    for _ in 0..TURN_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(TURN_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Makes way for a new socket at `path`, unless it is taken.
fn remove_stale(what: &'static str, path: &Path) -> Result<(), SocketError> {
    let failed = |source: io::Error| SocketError::Io {
        what,
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket {
                what,
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    match probe(path) {
        // A full backlog is somebody's too.
        Ok(()) | Err(Errno::EAGAIN) => Err(SocketError::InUse {
            path: path.to_owned(),
        }),
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(failed),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Connects to see whether somebody listens. It must not block: the one who listens may be stopped.
fn probe(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

/// A socket's file, removed when this is dropped if it is still the same.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = |found: fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(same) {
            // A file that stays behind is found stale by the next supervisor.
            let _ = fs::remove_file(&self.path);
        }
    }
}
