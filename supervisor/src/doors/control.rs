//! The control socket: takes `tppctl`'s requests, one a connection, and answers them.
//!
//! Who may ask is decided by the socket file's mode. The peer's user is looked at besides, but in a user
//! namespace of its own a supervisor sees most others as nobody, so that no list of users could be kept.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
    unistd::geteuid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use tpp::control::{
    Command, PROTOCOL_VERSION, Reply, Request, Response,
    frame::{self, FrameError, HEADER_BYTES, MAX_REQUEST_BYTES},
    private_listener,
};

use crate::doors::accept::{Full, accept};

/// Exchanges at once; more wait in the backlog.
const MAX_EXCHANGES: usize = 32;

/// How long a client may take to send its request, and then to take the reply.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often, and at what distance, to try for the turn to bind.
const TURN_TRIES: u32 = 100;
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// Carries out commands.
pub trait Operator: Send + Sync + 'static {
    /// Carries out `command` and tells the outcome. It runs to its end even if the asker leaves, and is
    /// dropped only when the server stops.
    ///
    /// `asker` is the connection that the reply will go to: whoever ends before it can reply may hand it on.
    fn run(&self, command: Command, asker: BorrowedFd<'_>) -> impl Future<Output = Reply> + Send;
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody answers there.
    #[error("another supervisor is running at {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else stands there, and is left alone.
    #[error("control socket {}: the file that is there is not a socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The operating system's reason.
    #[error("control socket {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// The bound socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Binds `path`, readable and writable for our user alone. A socket file that nobody listens on any
    /// more is replaced.
    ///
    /// # Errors
    /// [`ControlError`], which names the path.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |source: io::Error| ControlError::Io {
            path: path.to_owned(),
            source,
        };
        let _turn = turn(path);
        remove_stale(path)?;
        let listener = private_listener(path).map_err(|errno| failed(errno.into()))?;
        let file = SocketFile::of(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// The socket at `path`, which a predecessor bound.
    ///
    /// # Errors
    /// [`ControlError`], which names the path.
    pub fn inherited(path: &Path, listener: OwnedFd) -> Result<Self, ControlError> {
        let failed = |source: io::Error| ControlError::Io {
            path: path.to_owned(),
            source,
        };
        let file = match SocketFile::of(path) {
            Ok(file) => file,
            // Somebody deleted it: without a name the socket is of no use.
            Err(_) => return Self::bind(path),
        };
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// The listening socket.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Answers requests until `stop`, then removes the socket's file. To be called in a runtime.
    ///
    /// # Errors
    /// Those of handing the listener to the runtime; afterwards nothing ends it but `stop`.
    pub async fn serve(
        self,
        operator: Arc<impl Operator>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let own = geteuid().as_raw();
        self.serve_those(
            move |uid| may_ask(uid, own),
            TRANSFER_TIMEOUT,
            operator,
            stop,
        )
        .await
    }

    async fn serve_those(
        self,
        may_ask: impl Fn(u32) -> bool,
        transfer: Duration,
        operator: Arc<impl Operator>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Self { listener, file } = self;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let exchange = |stream: UnixStream| {
            let admitted = stream.peer_cred().is_ok_and(|peer| may_ask(peer.uid()));
            exchange(stream, admitted, transfer, Arc::clone(&operator))
        };
        // The file goes first: during the exchanges' grace a client is to find nothing, not silence.
        let stop = async {
            stop.await;
            drop(file);
        };
        let places = (MAX_EXCHANGES, Full::NewcomerWaits);
        accept("control", &listener, places, exchange, stop).await;
        Ok(())
    }
}

/// Root and our own user may; whom else the file's mode lets in is told why not.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
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
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let failed = |source: io::Error| ControlError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ControlError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    match probe(path) {
        // A full backlog is somebody's too.
        Ok(()) | Err(Errno::EAGAIN) => Err(ControlError::InUse {
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
struct SocketFile {
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

/// One request and its reply. Whatever goes wrong with the stream is the client's loss alone.
async fn exchange(
    mut stream: UnixStream,
    admitted: bool,
    transfer: Duration,
    operator: Arc<impl Operator>,
) {
    let reply = match timeout(transfer, receive(&mut stream)).await {
        Ok(Ok(_)) if !admitted => {
            Reply::Failed("only root and the user tpp runs as may ask".into())
        }
        Ok(Ok(command)) => {
            tracing::debug!(?command, "control request");
            operator.run(command, stream.as_fd()).await
        }
        Ok(Err(FrameError::Closed)) => return,
        Ok(Err(error)) => Reply::Failed(refusal(&error)),
        Err(_) => Reply::Failed(format!("no whole request within {transfer:?}")),
    };
    match timeout(transfer, send(&mut stream, reply)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "control reply not sent"),
        Err(_) => tracing::debug!("control reply not taken in time"),
    }
}

/// Gives `asker`, whose request a predecessor took, its reply.
pub(crate) async fn reply_to(asker: std::os::unix::net::UnixStream, reply: Reply) {
    let sent = async {
        asker.set_nonblocking(true)?;
        send(&mut UnixStream::from_std(asker)?, reply).await
    };
    match timeout(TRANSFER_TIMEOUT, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "control reply not sent"),
        Err(_) => tracing::debug!("control reply not taken in time"),
    }
}

async fn receive(stream: &mut UnixStream) -> Result<Command, FrameError> {
    let header = receive_exactly(stream, HEADER_BYTES).await?;
    let header = header
        .try_into()
        .expect("receive_exactly returns as many bytes as asked");
    let body = receive_exactly(stream, frame::body_length(header, MAX_REQUEST_BYTES)?).await?;
    frame::decode::<Request>(&body).map(|request| request.command)
}

async fn receive_exactly(stream: &mut UnixStream, wanted: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    stream
        .take(wanted as u64)
        .read_to_end(&mut bytes)
        .await
        .map_err(FrameError::Io)?;
    frame::complete(bytes, wanted)
}

async fn send(stream: &mut UnixStream, reply: Reply) -> io::Result<()> {
    let frame = frame::encode(&Response::new(reply)).or_else(|error| {
        let reply = Reply::Failed(format!("the answer cannot be sent: {error}"));
        frame::encode(&Response::new(reply)).map_err(io::Error::other)
    })?;
    stream.write_all(&frame).await?;
    stream.shutdown().await
}

/// What a client is told whose request is not understood.
fn refusal(error: &FrameError) -> String {
    match error {
        FrameError::Version { theirs } => format!(
            "tpp {} speaks protocol version {PROTOCOL_VERSION}, not {theirs}; use the tppctl that was installed with it",
            env!("CARGO_PKG_VERSION")
        ),
        FrameError::Malformed(json) => format!("the request is malformed: {json}"),
        error => format!("the request is malformed: {error}"),
    }
}

#[cfg(test)]
mod tests;
