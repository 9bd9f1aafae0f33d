//! The signals the supervisor acts on. They are held back from the first instruction of `main` on ([`tpp::signals`]).

use std::io;

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::io::{Interest, unix::AsyncFd};
use tpp::signals;
use tracing::{error, info};

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

/// The signals, to be waited for.
pub(crate) struct Signals(AsyncFd<signals::Signals>);

impl Signals {
    /// # Errors
    /// If the system has no descriptors left.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
    )]
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let signals = signals::Signals::all().context("listen for signals")?;
        let signals = AsyncFd::with_interest(signals, Interest::READABLE);
        signals.context("wait for signals").map(Self)
    }

    /// The next one. Who sent it stands in the log.
    pub(crate) async fn next(&mut self) -> Request {
        loop {
            match self.received().await {
                Ok(Some(request)) => return request,
                Ok(None) => {}
                Err(error) => {
                    // Only the runtime's end does that.
                    error!(%error, "signals are not heard any more");
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    async fn received(&self) -> io::Result<Option<Request>> {
        let mut ready = self.0.readable().await?;
        let Some(received) = ready.get_inner().next() else {
            ready.clear_ready();
            return Ok(None);
        };
        let request = request(received.signal);
        let signal = received.signal.as_str();
        info!(signal, from = %received, ?request, "signal received");
        Ok(request)
    }
}

fn request(signal: Signal) -> Option<Request> {
    match signal {
        Signal::SIGTERM | Signal::SIGINT => Some(Request::Stop),
        Signal::SIGQUIT => Some(Request::Leave),
        Signal::SIGUSR1 => Some(Request::Restart),
        Signal::SIGUSR2 => Some(Request::Upgrade),
        Signal::SIGHUP => Some(Request::Reload),
        _ => None,
    }
}
