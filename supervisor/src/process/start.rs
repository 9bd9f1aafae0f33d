//! Making a worker's process.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Stdio,
};

use command_fds::{CommandFdExt, FdMapping};
use tpp::{
    handover::{WorkerArgs, WorkerDescriptors},
    lending::Stock,
    pool::{Epoch, SeatIndex},
};

use super::{Launch, WorkerProcess};
use crate::system::{children, pidfd::open_pidfd};

/// Variables a worker may inherit: they change how a process runs, and hold no secret.
const INHERITED_VARIABLES: [&str; 6] = [
    "RUST_BACKTRACE",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A worker's process that is still to be made.
#[derive(Debug)]
pub(crate) struct Start {
    command: std::process::Command,
    channel: UnixStream,
}

impl Start {
    /// What [`Self::run`] needs, so that it needs nothing of ours.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub(crate) fn prepare(
        launch: &Launch,
        stock: &Stock,
        (seat, epoch): (SeatIndex, Epoch),
    ) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        let mut command = command(launch, stock, (seat, epoch));
        command
            .fd_mappings(mappings(launch, stock, theirs.into())?)
            .map_err(io::Error::other)?;
        Ok(Self { command, channel })
    }

    /// Makes the process, and lets it wait for [`WorkerProcess::let_begin`]. Returns once it runs the worker's image.
    ///
    /// # Errors
    /// If the system has no process or no descriptors left.
    pub(crate) fn run(mut self) -> io::Result<WorkerProcess> {
        children::start(|| {
            let pid = self.command.spawn()?.id();
            // Nobody has reaped it yet, so the number is its own.
            let pidfd = open_pidfd(pid)?;
            Ok(WorkerProcess::adopted(pid, pidfd, Some(self.channel)))
        })
    }
}

fn command(
    launch: &Launch,
    stock: &Stock,
    (seat, epoch): (SeatIndex, Epoch),
) -> std::process::Command {
    // The image this process runs, even if the file has been replaced since: supervisor and worker are of one version.
    let args = WorkerArgs {
        seat: seat.get(),
        epoch: epoch.get(),
        seats: stock.pool().seats.len(),
        meeting_prefix: launch.meeting_prefix.clone(),
        listen: launch
            .listeners
            .iter()
            .map(|(address, _)| address.clone())
            .collect(),
    };
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0("tpp-worker")
        .arg("worker")
        .args(args.to_arguments())
        .env_clear()
        .envs(
            INHERITED_VARIABLES
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        // A group of its own: Ctrl-C at a terminal is for the supervisor, which then drains the workers.
        .process_group(0);
    command
}

fn mappings(launch: &Launch, stock: &Stock, channel: OwnedFd) -> io::Result<Vec<FdMapping>> {
    let handover = WorkerDescriptors {
        region: stock.region().as_fd().try_clone_to_owned()?,
        channel,
        bells: stock.bells().try_clone()?,
        listeners: launch
            .listeners
            .iter()
            .map(|(_, fd)| fd.try_clone())
            .collect::<io::Result<_>>()?,
    };
    let mut numbered = handover.hand_down();
    if let Some(life) = &launch.life {
        // Behind all that a worker counts.
        let next = numbered.iter().map(|(_, number)| number + 1).max();
        numbered.push((life.try_clone()?, next.unwrap_or_default()));
    }
    Ok(numbered
        .into_iter()
        .map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        })
        .collect())
}
