//! What the supervisor asks of the worker.

use std::future;

use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    signal::unix::{Signal, SignalKind, signal},
};

/// The signals of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    /// Meant for the supervisor, also where a terminal sends them to all: received, and not acted on.
    _ignored: [Signal; 2],
}

impl Signals {
    /// # Errors
    /// If the system refuses.
    pub(crate) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            _ignored: [signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?],
        })
    }

    /// Resolves at the next TERM.
    pub(crate) async fn terminate(&mut self) {
        if self.terminate.recv().await.is_none() {
            future::pending().await
        }
    }
}

/// Resolves once the supervisor is gone: the other end of `channel` is closed.
pub(crate) async fn supervisor_gone(channel: &mut UnixStream) {
    let mut bytes = [0; 64];
    while matches!(channel.read(&mut bytes).await, Ok(1..)) {}
}
