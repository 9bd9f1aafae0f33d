//! The control socket: takes `tppctl`'s requests, one a connection, and answers them.
//!
//! Who may ask is decided by the socket file's mode. The peer's user is looked at besides, but in a user
//! namespace of its own a supervisor sees most others as nobody, so that no list of users could be kept.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use nix::unistd::geteuid;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use tpp::control::{
    Command, PROTOCOL_VERSION, Reply, Request, Response,
    frame::{self, FrameError, HEADER_BYTES, MAX_REQUEST_BYTES},
};

use super::{
    accept::{Full, accept},
    private_socket::PrivateSocket,
};

pub use super::private_socket::SocketError;

/// What errors call the socket.
const WHAT: &str = "control socket";

/// Exchanges at once; more wait in the backlog.
const MAX_EXCHANGES: usize = 32;

/// How long a client may take to send its request, and then to take the reply.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// Carries out commands.
pub trait Operator: Send + Sync + 'static {
    /// Carries out `command` and tells the outcome. It runs to its end even if the asker leaves, and is
    /// dropped only when the server stops.
    ///
    /// `asker` is the connection that the reply will go to: whoever ends before it can reply may hand it on.
    fn run(&self, command: Command, asker: BorrowedFd<'_>) -> impl Future<Output = Reply> + Send;
}

/// The bound socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket(PrivateSocket);

impl ControlSocket {
    /// Binds `path`, readable and writable for our user alone. A socket file that nobody listens on any
    /// more is replaced.
    ///
    /// # Errors
    /// [`SocketError`], which names the path.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        PrivateSocket::bind(WHAT, path).map(Self)
    }

    /// The socket at `path`, which a predecessor bound.
    ///
    /// # Errors
    /// [`SocketError`], which names the path.
    pub fn inherited(path: &Path, listener: OwnedFd) -> Result<Self, SocketError> {
        PrivateSocket::inherited(WHAT, path, listener).map(Self)
    }

    /// The listening socket.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.listener.as_fd()
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
        let PrivateSocket { listener, file } = self.0;
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
