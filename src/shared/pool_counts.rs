//! What is counted of a pool of tokens: its leases by each seat's worker, its logins by the supervisor in charge. One writer each;
//! the numbers outlive both.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::sync::AtomicU64;

use super::{
    counter::Counter,
    holder::LongestHolds,
    traffic::{Latency, LatencyCounts},
};

/// A seat's part of a pool.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct PoolSeat {
    /// Leases that found a good token.
    pub hits: Counter,
    /// Times that somebody had to wait for a login: in line, or with a token that was turned down.
    pub misses: Counter,
    /// The longest holds of late.
    pub holds: LongestHolds,
    /// Connections cut because the time of their slot's tenure was over.
    pub cut: Counter,
    reserved: Counter,
}

/// What the supervisors of a pool have done for its tokens, one after the other. Only the one in charge writes.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct PoolLogins {
    begun: AtomicU64,
    /// Logins that brought a token.
    pub succeeded: Counter,
    /// Logins that the server refused.
    pub refused: Counter,
    /// Logins that failed otherwise.
    pub failed: Counter,
    /// Rests begun: of accounts that were refused, of keys that were used up.
    pub rests: Counter,
    /// How long logins took, however they ended.
    pub duration: Latency,
    reserved: [Counter; 9],
}

/// All that is counted of a pool, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounts {
    /// As [`PoolSeat::hits`].
    pub hits: u64,
    /// As [`PoolSeat::misses`].
    pub misses: u64,
    /// As [`PoolSeat::cut`].
    pub cut: u64,
    /// As [`PoolLogins::succeeded`].
    pub succeeded: u64,
    /// As [`PoolLogins::refused`].
    pub refused: u64,
    /// As [`PoolLogins::failed`].
    pub failed: u64,
    /// As [`PoolLogins::rests`].
    pub rests: u64,
    /// As [`PoolLogins::duration`].
    pub duration: LatencyCounts,
    /// Since it is counted, time of suspension included.
    pub age: Duration,
}

impl PoolLogins {
    /// It is counted from `now` on, milliseconds of [`crate::clock::boot_millis`], unless it was before.
    pub fn begin(&self, now: u64) {
        // Relaxed, here and below: a number on its own, with one writer.
        if self.begun.load(Relaxed) == 0 {
            self.begun.store(now, Relaxed);
        }
    }
}

impl PoolCounts {
    /// All of these, as of `now`, milliseconds of [`crate::clock::boot_millis`].
    #[must_use]
    pub fn of(seats: &[PoolSeat], logins: &PoolLogins, now: u64) -> Self {
        let sum = |counter: fn(&PoolSeat) -> &Counter| {
            let counts = seats.iter().map(|seat| counter(seat).get());
            counts.sum()
        };
        let begun = logins.begun.load(Relaxed);
        let mut counts = Self {
            hits: sum(|seat| &seat.hits),
            misses: sum(|seat| &seat.misses),
            cut: sum(|seat| &seat.cut),
            succeeded: logins.succeeded.get(),
            refused: logins.refused.get(),
            failed: logins.failed.get(),
            rests: logins.rests.get(),
            duration: LatencyCounts::default(),
            age: Duration::from_millis(now.saturating_sub(begun)),
        };
        logins.duration.add_to(&mut counts.duration);
        counts
    }
}
