//! A seat's part of one pool's line, as everybody sees it. Its window of places lies beside it.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// What one worker shows of those who wait in it. Only that worker writes it; after its death, the supervisor.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct SeatLine {
    /// Connections of this worker that wait.
    pub(crate) waiting: AtomicU64,
    /// When the first of them joined, milliseconds of the monotonic clock; 0: nobody waits.
    pub(crate) oldest_since: AtomicU64,
    /// Sequence number of the first place of the window that is not cleared.
    pub(crate) window_first: AtomicU64,
    /// Ticket + 1 of the first who waits behind the window, for want of room in it; 0: none.
    pub(crate) behind_window: AtomicU64,
    reserved: [AtomicU64; 12],
}

impl SeatLine {
    /// Nobody waits. What zeroed memory reads as.
    #[must_use]
    pub fn new() -> Self {
        Self {
            waiting: AtomicU64::new(0),
            oldest_since: AtomicU64::new(0),
            window_first: AtomicU64::new(0),
            behind_window: AtomicU64::new(0),
            reserved: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Connections that wait in this worker.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // Relaxed: a number for people and for a bound that need not be exact to the one.
        self.waiting.load(Relaxed)
    }

    /// When the first of them joined, milliseconds of the monotonic clock; `None`: nobody waits.
    #[must_use]
    pub fn oldest_since(&self) -> Option<u64> {
        // Relaxed: a number for people.
        Some(self.oldest_since.load(Relaxed)).filter(|&since| since != 0)
    }

    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no desk"))]
    pub(crate) fn note_oldest(&self, since: u64) {
        // Relaxed: see `oldest_since`.
        self.oldest_since.store(since, Relaxed);
    }

    /// Forgets all who waited here; nobody looks at it meanwhile.
    pub(crate) fn clear(&self) {
        // Relaxed: nobody looks into a seat that is dead; filling it anew publishes these.
        for word in [
            &self.window_first,
            &self.behind_window,
            &self.waiting,
            &self.oldest_since,
        ] {
            word.store(0, Relaxed);
        }
    }
}

impl Default for SeatLine {
    fn default() -> Self {
        Self::new()
    }
}
