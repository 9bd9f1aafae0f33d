//! The supervisor's steady tick.

use std::{future, time::Duration};

use anyhow::Context;
use tokio::io::{Interest, unix::AsyncFd};
use tpp::ticks;

/// A tick, to be waited for: the first at once, two never nearer to each other than the pace.
pub(crate) struct Ticks(AsyncFd<ticks::Ticks>);

impl Ticks {
    /// One every `pace`.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
    )]
    pub(crate) fn every(pace: Duration) -> anyhow::Result<Self> {
        let ticks = ticks::Ticks::every(pace).context("make a tick")?;
        let ticks = AsyncFd::with_interest(ticks, Interest::READABLE);
        ticks.context("wait for ticks").map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&self) {
        while let Ok(mut ready) = self.0.readable().await {
            // Before it is taken: one that comes in between is seen as a new one.
            ready.clear_ready();
            if ready.get_inner().take() {
                return;
            }
        }
        // Only the runtime's end does that.
        future::pending().await
    }
}
