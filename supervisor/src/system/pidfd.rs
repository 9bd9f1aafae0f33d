//! Processes by their descriptors (pidfd_open(2)), never by their numbers, which another one may get.

use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd},
};

use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Killed(i32),
    /// It was another process's child: only that could know.
    Unknown,
}

/// A descriptor of the process `pid`.
///
/// # Errors
/// If there is none.
pub(crate) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The end of a process that has ended; of a child it is taken, so that no zombie stays.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Ending {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ending::Exited(code),
                    (None, Some(signal)) => Ending::Killed(signal),
                    (None, None) => Ending::Unknown,
                };
            }
            Err(error) if error.raw_os_error() == Errno::EINTR as i32 => {}
            // ECHILD: no child of ours.
            Ok(None) | Err(_) => return Ending::Unknown,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => match nix::sys::signal::Signal::try_from(signal) {
                Ok(signal) => write!(f, "killed by {}", signal.as_str()),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Self::Unknown => f.write_str("ended"),
        }
    }
}
