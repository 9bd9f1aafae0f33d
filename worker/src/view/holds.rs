//! How long leases last, and so when it is worth trying again for who got none.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::Relaxed, // One thread writes and reads; the atomics only make the types shareable.
    },
    time::Duration,
};

use tpp::pool::Census;

/// A lease that ends moves the mean by this part of the difference.
const WEIGHT: u64 = 8;
/// What a client is told at least, and at most, seconds.
const BOUNDS: (u64, u64) = (1, 60);
/// A census is good for so long, milliseconds: those sent away in a rush are told the same.
const FRESH: u64 = 100;

/// The mean time that this worker's leases last, the later ones counting more.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Microseconds; 0: none has ended.
    mean: AtomicU64,
    /// What was told last, with the time plus one; 0: nothing.
    told: AtomicU64,
    told_at: AtomicU64,
}

impl Holds {
    /// A lease has ended.
    pub(crate) fn note(&self, held: Duration) {
        let held = u64::try_from(held.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean = self.mean.load(Relaxed);
        let next = if mean == 0 {
            held
        } else {
            mean - mean / WEIGHT + held / WEIGHT
        };
        self.mean.store(next.max(1), Relaxed);
    }

    /// After how many seconds a client may try again that is sent away for want of room, at `now` milliseconds.
    pub(crate) fn retry_after(&self, now: u64, census: impl FnOnce() -> Census) -> u64 {
        let told_at = self.told_at.load(Relaxed);
        if told_at == 0 || now >= told_at - 1 + FRESH {
            self.told.store(self.line_lasts(&census()), Relaxed);
            self.told_at.store(now + 1, Relaxed);
        }
        self.told.load(Relaxed)
    }

    /// How long the line takes that there is now, seconds.
    fn line_lasts(&self, census: &Census) -> u64 {
        let all = u128::from(census.waiting) * u128::from(self.mean.load(Relaxed));
        let micros = all / u128::from(census.usable.max(1));
        let seconds = u64::try_from(micros.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        seconds.clamp(BOUNDS.0, BOUNDS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(waiting: u64, usable: u64) -> Census {
        Census {
            waiting,
            usable,
            ..Census::default()
        }
    }

    fn holding_for(held: Duration) -> Holds {
        let holds = Holds::default();
        holds.note(held);
        holds
    }

    #[test]
    fn the_line_lasts_as_long_as_its_leases_one_after_another_over_all_tokens() {
        let holds = holding_for(Duration::from_secs(3));
        assert_eq!(holds.line_lasts(&census(8, 4)), 6);
        assert_eq!(holds.line_lasts(&census(7, 4)), 6, "rounded up");
    }

    #[test]
    fn it_is_a_second_at_least_and_a_minute_at_most() {
        let holds = holding_for(Duration::from_secs(3));
        assert_eq!(holds.line_lasts(&census(0, 4)), 1);
        assert_eq!(holds.line_lasts(&census(1000, 0)), 60);
        let untried = Holds::default();
        assert_eq!(untried.line_lasts(&census(1000, 1)), 1);
        assert_eq!(
            holding_for(Duration::MAX).line_lasts(&census(u64::MAX, 1)),
            60
        );
    }

    #[test]
    fn the_mean_follows_what_leases_come_to_last() {
        let holds = holding_for(Duration::from_secs(40));
        (0..100).for_each(|_| holds.note(Duration::from_secs(2)));
        assert_eq!(holds.line_lasts(&census(10, 10)), 3, "2 s and a little");
        (0..100).for_each(|_| holds.note(Duration::from_secs(40)));
        assert_eq!(holds.line_lasts(&census(1, 1)), 40);
    }
}
