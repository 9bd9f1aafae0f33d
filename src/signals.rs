//! Signals, held back from the first instruction on, and read one by one with their senders (signalfd(2)).
//!
//! A blocked signal waits, over `exec` too, until somebody reads it: whenever it comes, it is not lost, and kills nobody.
//! What is started by a process that holds signals back holds them back as well, from its own first instruction on.

use std::{
    fmt, fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// All that tpp acts on, or must not die of. They reach workers too: from a terminal, from `pkill`, and SIGHUP from the
/// kernel, which sends it to a stopped process whose parent dies (setpgid(2), orphaned process group).
const HELD_BACK: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGHUP,
];

/// Holds all of them back. To be called first of all, before there is a second thread.
///
/// # Errors
/// None on Linux.
pub fn hold_back() -> nix::Result<()> {
    HELD_BACK.into_iter().collect::<SigSet>().thread_block()
}

/// Lets them do what they do to any program. For what only checks and ends.
///
/// # Errors
/// None on Linux.
pub fn let_through() -> nix::Result<()> {
    HELD_BACK.into_iter().collect::<SigSet>().thread_unblock()
}

/// Where signals that are held back can be read.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Those of [`hold_back`].
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn all() -> nix::Result<Self> {
        Self::of(&HELD_BACK)
    }

    /// Some of them; the others wait for ever.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn of(signals: &[Signal]) -> nix::Result<Self> {
        let signals: SigSet = signals.iter().copied().collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&signals, flags).map(Self)
    }

    /// The next one, if there is one. The descriptor is readable as long as there is.
    #[must_use]
    pub fn next(&self) -> Option<Received> {
        let info = self.0.read_signal().ok().flatten()?;
        let signal = i32::try_from(info.ssi_signo).ok()?;
        Some(Received {
            signal: Signal::try_from(signal).ok()?,
            // A sender in another process namespace has no number here.
            pid: (info.ssi_pid != 0).then_some(info.ssi_pid),
            uid: info.ssi_uid,
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Who sent it; `None`: the kernel, or a process outside this one's namespace.
    pub pid: Option<u32>,
    /// The sender's user.
    pub uid: u32,
}

/// Who sent it, for people: the sender may have ended since.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else {
            return write!(f, "the system, user {}", self.uid);
        };
        write!(f, "process {pid}")?;
        if let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) {
            write!(f, " ({})", name.trim_end())?;
        }
        write!(f, ", user {}", self.uid)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::{
        sys::signal::raise,
        unistd::{getpid, getuid},
    };

    use super::*;

    #[test]
    fn a_signal_that_came_before_anybody_listened_is_read_with_its_sender() {
        // On a thread of its own: others of this test program hold nothing back.
        let received = thread::spawn(|| {
            hold_back().unwrap();
            raise(Signal::SIGHUP).unwrap();
            let signals = Signals::all().unwrap();
            (signals.next(), signals.next())
        });
        let (first, second) = received.join().unwrap();
        let first = first.expect("it waited");
        assert_eq!(first.signal, Signal::SIGHUP);
        assert_eq!(first.pid, Some(getpid().as_raw().unsigned_abs()));
        assert_eq!(first.uid, getuid().as_raw());
        assert!(
            first
                .to_string()
                .starts_with(&format!("process {} (", getpid()))
        );
        assert_eq!(second, None);
    }
}
