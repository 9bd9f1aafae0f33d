//! The signals the supervisor acts on.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// TERM, INT: drain and end; the second time, at once.
    Stop,
    /// QUIT: end, and leave the workers to the next supervisor.
    Leave,
    /// USR1: replace all workers.
    Restart,
    /// USR2: start the executable anew in this one's place.
    Upgrade,
    /// HUP: read the configuration again.
    Reload,
}

/// The signals, registered.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
    hangup: Signal,
}

/// All signals that are acted on.
pub(crate) fn all() -> SigSet {
    [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGQUIT,
        Number::SIGUSR1,
        Number::SIGUSR2,
        Number::SIGHUP,
    ]
    .into_iter()
    .collect()
}

impl Signals {
    /// Registers for all of them. Those that a predecessor in this process held back come now.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn register() -> anyhow::Result<Self> {
        let register = |kind| signal(kind).context("register for a signal");
        let signals = Self {
            terminate: register(SignalKind::terminate())?,
            interrupt: register(SignalKind::interrupt())?,
            quit: register(SignalKind::quit())?,
            user1: register(SignalKind::user_defined1())?,
            user2: register(SignalKind::user_defined2())?,
            hangup: register(SignalKind::hangup())?,
        };
        all().thread_unblock().context("let signals through")?;
        Ok(signals)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.quit.recv() => Request::Leave,
            _ = self.user1.recv() => Request::Restart,
            _ = self.user2.recv() => Request::Upgrade,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
