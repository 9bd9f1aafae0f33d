//! One counter, in the region.
//!
//! Each has one writer, the seat's worker (after its death, the supervisor), so adding is a load and a store, not a
//! locked instruction. All orderings are Relaxed: the numbers order nothing.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// A number that only grows.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. It has one writer: the seat's worker, or the supervisor in charge, from one thread.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Begins anew, for another thing that is counted; while nobody counts.
    pub(super) fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}
