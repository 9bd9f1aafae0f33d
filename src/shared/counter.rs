//! One counter, in the region.
//!
//! Each has one writer, the seat's worker (after its death, the supervisor), so adding is a load and a store, not a
//! locked instruction. All orderings are Relaxed: the numbers order nothing.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

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

/// Counts a duration: in the first of `buckets` whose bound (seconds, rising) is no less, or in the last one, which has no bound;
/// and in the sum.
#[inline]
pub(super) fn observe(
    bounds: &[f64],
    buckets: &[Counter],
    sum_micros: &Counter,
    duration: Duration,
) {
    let seconds = duration.as_secs_f64();
    buckets[bounds.partition_point(|&bound| bound < seconds)].add(1);
    sum_micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}
