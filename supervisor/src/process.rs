//! One worker process: how it is started, told, and how its end becomes known.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{ExitStatus, Stdio},
};

use command_fds::{CommandFdExt, FdMapping};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::mpsc;
use tpp::{
    handover::Handover,
    pool::{Epoch, SeatIndex, Stock},
};

/// Variables a worker may inherit: they change how a process runs, and hold no secret.
const INHERITED_VARIABLES: [&str; 6] = [
    "RUST_BACKTRACE",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What the workers of one supervisor have in common.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Listening sockets, each with its address as it was bound.
    pub(crate) listeners: Vec<(String, OwnedFd)>,
}

/// A running worker. Dropping it leaves the process alone.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) pid: u32,
    orders: mpsc::UnboundedSender<Signal>,
    /// The worker sees its other end close when the supervisor is gone.
    _channel: UnixStream,
}

impl WorkerProcess {
    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        // The receiver is gone once the process is reaped: nothing to signal any more.
        let _ = self.orders.send(signal);
    }
}

/// Starts a worker for `seat`. `ended` is resolved with its exit status once it is reaped.
pub(crate) fn start(
    launch: &Launch,
    stock: &Stock,
    (seat, epoch): (SeatIndex, Epoch),
) -> io::Result<(
    WorkerProcess,
    impl Future<Output = ExitStatus> + Send + use<>,
)> {
    let (ours, theirs) = UnixStream::pair()?;
    // The image this process runs, even if the file has been replaced since: supervisor and worker are of one version.
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0("tpp-worker")
        .arg("worker")
        .args(["--seat", &seat.to_string(), "--epoch", &epoch.to_string()])
        .args(["--seats", &stock.pool().seats.len().to_string()])
        .args(
            launch
                .listeners
                .iter()
                .flat_map(|(address, _)| ["--listen", address]),
        )
        .env_clear()
        .envs(
            INHERITED_VARIABLES
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        // A group of its own: Ctrl-C at a terminal is for the supervisor, which then drains the workers.
        .process_group(0)
        .fd_mappings(mappings(launch, stock, theirs.into())?)
        .map_err(io::Error::other)?;
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pid = child
        .id()
        .ok_or_else(|| io::Error::other("the worker ended before it had a process id"))?;
    let (orders, mut received) = mpsc::unbounded_channel();
    let ended = async move {
        loop {
            tokio::select! {
                status = child.wait() => match status {
                    Ok(status) => return status,
                    // Only a second wait for the same child can fail, and there is none.
                    Err(_) => return ExitStatus::from_raw(0),
                },
                Some(signal) = received.recv() => deliver(&child, signal),
            }
        }
    };
    Ok((
        WorkerProcess {
            pid,
            orders,
            _channel: ours,
        },
        ended,
    ))
}

/// Signals a child that is not reaped yet, so that its number still is its own.
fn deliver(child: &tokio::process::Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // ESRCH: it has ended, and is about to be reaped.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn mappings(launch: &Launch, stock: &Stock, channel: OwnedFd) -> io::Result<Vec<FdMapping>> {
    let handover = Handover {
        region: stock.region().as_fd().try_clone_to_owned()?,
        channel,
        bells: stock.bells().try_clone()?,
        listeners: launch
            .listeners
            .iter()
            .map(|(_, fd)| fd.try_clone())
            .collect::<io::Result<_>>()?,
    };
    let numbered = handover.hand_down().into_iter();
    Ok(numbered
        .map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        })
        .collect())
}

/// How a process ended, in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    }
}
