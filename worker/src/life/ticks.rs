//! The worker's steady tick.

use std::{future, io};

use tokio::io::{Interest, unix::AsyncFd};
use tpp::ticks;

use crate::clock::TICK;

/// A tick, to be waited for: the first at once, two never nearer to each other than [`TICK`].
pub(super) struct Ticks(AsyncFd<ticks::Ticks>);

impl Ticks {
    /// # Errors
    /// If the system has no descriptors left.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
    )]
    pub(super) fn begin() -> io::Result<Self> {
        let ticks = ticks::Ticks::every(TICK)?;
        AsyncFd::with_interest(ticks, Interest::READABLE).map(Self)
    }

    /// The next one.
    pub(super) async fn next(&self) {
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
