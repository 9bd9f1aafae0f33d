//! What a slot of a token pool stands for, beside the word that says who holds it.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// The words of one slot's token, two cache lines of their own: a holder writes here while others fight for the slot's word.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct TokenWords {
    /// Version of the token in [`super::Publication`]'s terms.
    pub(crate) version: AtomicU64,
    /// Token version that the upstream refused; 0: none. Written by holders, read by the supervisor.
    refused: AtomicU64,
    /// Logins for this slot that failed. Written by the supervisor, watched by a holder that waits for a new token.
    failures: AtomicU64,
    /// Requests sent with this slot. Only its holder writes it.
    uses: AtomicU64,
    /// Key of the account whose slot it is; 0: nobody's. For a supervisor that takes over.
    account: AtomicU64,
    /// When the token was drawn, milliseconds of the monotonic clock. For a supervisor that takes over.
    drawn_at: AtomicU64,
    reserved: [AtomicU64; 10],
}

impl TokenWords {
    /// No token yet. What zeroed memory reads as.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            account: AtomicU64::new(0),
            drawn_at: AtomicU64::new(0),
            reserved: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Records that the upstream refused token `version`. True if that is news.
    pub fn report_refused(&self, version: u64) -> bool {
        // Relaxed: a number on its own; the supervisor compares it with the version it published itself.
        self.refused.swap(version, Relaxed) != version
    }

    /// Token version last refused by the upstream; 0: none.
    #[must_use]
    pub fn refused(&self) -> u64 {
        // Relaxed: see `report_refused`.
        self.refused.load(Relaxed)
    }

    /// Logins for this slot that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        // Relaxed: the bell that follows a failure carries the order.
        self.failures.load(Relaxed)
    }

    /// Counts a request sent with this slot; only the holder may call it.
    pub fn count_use(&self) {
        // Relaxed load and store, no read-modify-write: the holder is the only writer, and the hand-over of
        // the slot itself (AcqRel) orders one holder's count before the next one's.
        self.uses
            .store(self.uses.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Requests sent with this slot.
    #[must_use]
    pub fn uses(&self) -> u64 {
        // Relaxed: a number for people.
        self.uses.load(Relaxed)
    }
}

#[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
impl TokenWords {
    // All Relaxed: the supervisor alone writes them. A failure is followed by a bell, which carries the order; the rest are
    // notes of one supervisor to the next, which reads them when the writer is dead.

    /// Counts a failed login.
    pub(crate) fn count_failure(&self) {
        self.failures
            .store(self.failures().wrapping_add(1), Relaxed);
    }

    pub(crate) fn set_account(&self, key: u64) {
        self.account.store(key, Relaxed);
    }

    pub(crate) fn account(&self) -> u64 {
        self.account.load(Relaxed)
    }

    pub(crate) fn set_drawn_at(&self, millis: u64) {
        self.drawn_at.store(millis, Relaxed);
    }

    pub(crate) fn drawn_at(&self) -> u64 {
        self.drawn_at.load(Relaxed)
    }
}

impl Default for TokenWords {
    fn default() -> Self {
        Self::new()
    }
}
