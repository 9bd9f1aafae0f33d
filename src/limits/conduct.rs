//! How a backend behaves towards real requests, over all workers: how many in a row it failed, until when it is left out for it, and
//! since when it serves.
//!
//! ```text
//! word  63..44   43..0
//!       times    until when it is left out, milliseconds; zero: it never was
//! ```
//! Workers count, and heed that word. The supervisor alone writes it: how many of a group may be out is decided in one place, so no
//! two decisions can meet. Its end is a time: nobody has to be alive for a backend to come back.

use std::sync::atomic::Ordering::Relaxed;

use crate::{ids::mask, sync::AtomicU64};

const UNTIL_BITS: u32 = 44;

/// The words of one backend, part of its row. Zeroed memory is a backend that has done nothing wrong.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Conduct {
    failures: AtomicU64,
    out: AtomicU64,
    ejections: AtomicU64,
    up_since: AtomicU64,
    out_since: AtomicU64,
    out_for: AtomicU64,
}

/// That a backend is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Since when, milliseconds of the clock that all processes share; `None`: an older version did not say.
    pub since: Option<u64>,
    /// Until when.
    pub until: u64,
    /// For so many requests that failed there, one after the other; 0: an older version did not say.
    pub failures: u64,
    /// The so manieth time in a row.
    pub times: u64,
}

impl Conduct {
    /// A request went well: the row of failures ends. In health it costs one load.
    pub fn succeeded(&self) {
        // Relaxed, here and below: each word stands for itself.
        if self.failures.load(Relaxed) != 0 {
            // An exchange, as counting is: of the two that meet, each sees what the other left.
            self.failures.swap(0, Relaxed);
        }
    }

    /// A request failed: so many have, one after the other.
    pub fn failed(&self) -> u64 {
        self.failures.fetch_add(1, Relaxed) + 1
    }

    /// So many requests have failed, one after the other.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Until when it is left out, milliseconds of the clock that all processes share; 0: it never was.
    #[must_use]
    pub fn out_until(&self) -> u64 {
        self.out.load(Relaxed) & mask(UNTIL_BITS)
    }

    /// How often it was left out, as far as that makes the next time longer.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.out.load(Relaxed) >> UNTIL_BITS
    }

    /// Whether it is left out at the time that `now` tells; the time is asked for only if it ever was.
    #[must_use]
    pub fn is_out(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.out_until();
        until != 0 && until > now()
    }

    /// How it is left out at `now`, if it is.
    #[must_use]
    pub fn ejection(&self, now: u64) -> Option<Ejection> {
        self.is_out(|| now).then(|| Ejection {
            since: Some(self.out_since.load(Relaxed)).filter(|&since| since != 0),
            until: self.out_until(),
            failures: self.out_for.load(Relaxed),
            times: self.times(),
        })
    }

    /// Leaves it out from `now` until then, the so manieth time. The supervisor's move.
    pub fn eject(&self, now: u64, until: u64, times: u64) {
        // First: should we die before the last step, it is not out, and what is to put it out begins anew; the other way round
        // it would be put out again for what it was out for already.
        self.out_for.store(self.failures.swap(0, Relaxed), Relaxed);
        self.out_since.store(now, Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        let times = times.min(mask(u64::BITS - UNTIL_BITS));
        self.out
            .store(times << UNTIL_BITS | until & mask(UNTIL_BITS), Relaxed);
    }

    /// Ends that at `now`, before its time. The supervisor's move.
    pub fn readmit(&self, now: u64) {
        let times = self.times();
        self.out
            .store(times << UNTIL_BITS | now & mask(UNTIL_BITS), Relaxed);
    }

    /// How often it was left out in all.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Notes that it serves from `now` on. The supervisor's move.
    pub fn comes_up(&self, now: u64) {
        self.up_since.store(now, Relaxed);
    }

    /// Since when it serves, milliseconds; 0: it did when tpp began.
    #[must_use]
    pub fn up_since(&self) -> u64 {
        self.up_since.load(Relaxed).max(self.out_until())
    }

    pub(super) fn clear(&self) {
        let all = [
            &self.failures,
            &self.out,
            &self.ejections,
            &self.up_since,
            &self.out_since,
            &self.out_for,
        ];
        all.into_iter().for_each(|word| word.store(0, Relaxed));
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_out_until_its_time_and_says_why() {
        let conduct = Conduct::default();
        assert!(!conduct.is_out(|| panic!("it never was out: the clock is not asked")));
        assert_eq!((conduct.failed(), conduct.failed()), (1, 2));
        conduct.eject(1000, 5000, 3);
        let ejection = Ejection {
            since: Some(1000),
            until: 5000,
            failures: 2,
            times: 3,
        };
        assert_eq!(conduct.ejection(4999), Some(ejection));
        assert_eq!(conduct.ejection(5000), None);
        assert_eq!(conduct.failures(), 0, "it is not out twice for the same");
        assert_eq!((conduct.ejections(), conduct.up_since()), (1, 5000));
    }

    #[test]
    fn one_that_is_taken_back_before_its_time_is_as_bad_as_before_and_serves_from_then_on() {
        let conduct = Conduct::default();
        conduct.eject(1000, 5000, 3);
        conduct.readmit(2000);
        assert!(!conduct.is_out(|| 2000));
        assert_eq!(conduct.times(), 3, "the next time is no shorter for it");
        assert_eq!(conduct.up_since(), 2000);
        conduct.comes_up(7000);
        assert_eq!(conduct.up_since(), 7000);
    }

    #[test]
    fn one_success_ends_a_row_of_failures() {
        let conduct = Conduct::default();
        conduct.failed();
        conduct.succeeded();
        assert_eq!(conduct.failed(), 1);
    }

    #[test]
    fn more_times_than_its_bits_hold_do_not_touch_the_end() {
        let conduct = Conduct::default();
        conduct.eject(0, 5000, u64::MAX);
        assert_eq!(conduct.out_until(), 5000);
        assert_eq!(conduct.times(), mask(u64::BITS - UNTIL_BITS));
    }

    #[test]
    fn a_row_that_is_given_away_remembers_nothing() {
        let conduct = Conduct::default();
        conduct.failed();
        conduct.eject(1000, 5000, 1);
        conduct.failed();
        conduct.clear();
        assert_eq!(format!("{conduct:?}"), format!("{:?}", Conduct::default()));
    }
}
