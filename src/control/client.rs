//! The asking side: a blocking client that gives up in time and says in one line what is wrong.

use std::{
    fmt, io,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket,
            sockopt::SendTimeout,
        },
        time::TimeVal,
    },
};

use super::{
    Command, PROTOCOL_VERSION, Reply, Request, Response,
    frame::{self, FrameError, MAX_FRAME_BYTES},
};

/// An exchange that did not come to a reply. Displays as one line: the socket, then the reason.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", socket.display())]
pub struct ClientError {
    /// The socket asked.
    pub socket: PathBuf,
    /// What went wrong.
    pub fault: Fault,
}

/// What went wrong in an exchange.
#[derive(Debug)]
pub enum Fault {
    /// There is no such socket.
    Missing,
    /// There is a socket, but nobody listens on it.
    Refused,
    /// The socket's mode keeps us out.
    Denied,
    /// No reply within this time.
    TimedOut(Duration),
    /// The supervisor closed the connection without a reply.
    Closed,
    /// The supervisor speaks this version of the protocol, which is not ours.
    Version(u32),
    /// The reply is not one.
    Malformed(FrameError),
    /// Another error of the operating system.
    Io(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => {
                f.write_str("no such socket; is tpp running, and is this its control_socket?")
            }
            Self::Refused => f.write_str("nobody answers on this socket; tpp is not running"),
            Self::Denied => f.write_str("no permission; ask as root or as the user tpp runs as"),
            Self::TimedOut(timeout) => write!(f, "no answer within {timeout:?}"),
            Self::Closed => f.write_str("the supervisor closed the connection before it answered"),
            Self::Version(theirs) => write!(
                f,
                "the supervisor speaks protocol version {theirs}, this tppctl {PROTOCOL_VERSION}; \
                 use the tppctl that was installed with it"
            ),
            Self::Malformed(FrameError::Malformed(json)) => {
                write!(f, "the answer is malformed: {json}")
            }
            Self::Malformed(error) => write!(f, "the answer is malformed: {error}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// How often a supervisor that ends before it answers is asked in all: another executable may have taken its place.
const TRIES: u32 = 5;

/// Sends `command` to the supervisor at `socket` and returns its reply. `timeout` bounds all of it, connecting included.
///
/// A connection that ends without an answer may be that of an executable that made way for another one, at the same
/// socket. That one is asked again; each command may be carried out twice and comes to the same.
///
/// # Errors
/// [`ClientError`], whose text names the socket and the reason.
pub fn ask(socket: &Path, command: Command, timeout: Duration) -> Result<Reply, ClientError> {
    let deadline = Instant::now() + timeout;
    let ask_once = || exchange(socket, command.clone(), (deadline, timeout));
    let mut outcome = ask_once();
    for _ in 1..TRIES {
        if !matches!(outcome, Err(Fault::Closed)) {
            break;
        }
        match ask_once() {
            // It has no successor.
            Err(Fault::Missing | Fault::Refused) => break,
            again => outcome = again,
        }
    }
    outcome.map_err(|fault| ClientError {
        socket: socket.to_owned(),
        fault,
    })
}

fn exchange(
    socket: &Path,
    command: Command,
    (deadline, timeout): (Instant, Duration),
) -> Result<Reply, Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stream = open(socket, left).map_err(|errno| unconnected(errno, timeout))?;
    let mut stream = Deadlined { stream, deadline };
    // A supervisor that refuses us may answer and close before it has read everything: its answer
    // tells more than our broken pipe.
    let sent = frame::write(&mut stream, &Request::new(command));
    match (frame::read::<Response>(&mut stream, MAX_FRAME_BYTES), sent) {
        (Ok(response), _) => Ok(response.reply),
        (Err(version @ FrameError::Version { .. }), _) => Err(unanswered(version, timeout)),
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(unanswered(error, timeout)),
    }
}

/// Connects. The standard library's connect has no timeout, and waits while the backlog is full.
fn open(path: &Path, timeout: Duration) -> Result<UnixStream, Errno> {
    let address = UnixAddr::new(path)?;
    let fd: OwnedFd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // Zero would mean no timeout.
    let timeout = timeout.max(Duration::from_millis(1));
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    setsockopt(
        &fd,
        SendTimeout,
        &TimeVal::new(seconds, i64::from(timeout.subsec_micros())),
    )?;
    loop {
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => return Ok(UnixStream::from(fd)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn unconnected(errno: Errno, timeout: Duration) -> Fault {
    match errno {
        Errno::ENOENT => Fault::Missing,
        Errno::ECONNREFUSED => Fault::Refused,
        Errno::EACCES | Errno::EPERM => Fault::Denied,
        Errno::EAGAIN => Fault::TimedOut(timeout),
        errno => Fault::Io(errno.into()),
    }
}

fn unanswered(error: FrameError, timeout: Duration) -> Fault {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, WouldBlock};
    match error {
        FrameError::Closed | FrameError::Truncated { .. } => Fault::Closed,
        FrameError::Version { theirs } => Fault::Version(theirs),
        FrameError::Malformed(_) | FrameError::TooLong { .. } => Fault::Malformed(error),
        FrameError::Io(error) => match error.kind() {
            BrokenPipe | ConnectionReset => Fault::Closed,
            TimedOut | WouldBlock => Fault::TimedOut(timeout),
            _ => Fault::Io(error),
        },
    }
}

/// A stream whose every call ends by one point in time, so that a peer that trickles bytes cannot
/// stretch the exchange.
struct Deadlined {
    stream: UnixStream,
    deadline: Instant,
}

impl Deadlined {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(remaining)
        }
    }
}

impl Read for Deadlined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Deadlined {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
