//! Streams that a client takes back before it has its answer: how many a connection may have.
//!
//! The `h2` crate bounds those that were reset before anybody looked at them. One that was accepted has made work already, a place in line or
//! a request to the upstream, and costs its client nothing: opened and reset as fast as frames go (rapid reset), or with an error in each
//! so that it is we who reset it (MadeYouReset), streams would be a way to have as much work done as one likes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed}; // One thread writes and reads; the atomic only makes the type shareable.

/// So many come back each second, or as many as there may be streams at once, if that is more: whoever cancels all it asks for
/// after a second stays below.
const RESETS_A_SECOND: u64 = 100;
/// So many seconds' worth may be taken back at once: a page that is left takes all its streams back.
const RESETS_AT_ONCE: u64 = 2;
const SECOND: u64 = 1000;

/// How many streams of a connection were taken back so far.
#[derive(Debug, Default)]
pub(crate) struct Resets(AtomicU64);

impl Resets {
    /// One more was.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// All so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What is left of what a connection may take back.
#[derive(Debug)]
pub(crate) struct Forbearance {
    a_second: u64,
    /// How many count now.
    level: u64,
    /// How many there were when it was last asked, and when that was, in milliseconds of the worker's clock, but for what did not
    /// make a whole second.
    seen: u64,
    at: u64,
}

impl Forbearance {
    /// All of it, as of `now`, of a connection that may have so many streams at once.
    pub(crate) fn new(streams: u32, now: u64) -> Self {
        Self {
            a_second: RESETS_A_SECOND.max(u64::from(streams)),
            level: 0,
            seen: 0,
            at: now,
        }
    }

    /// Whether it is at its end, when so many were taken back by `now`.
    pub(crate) fn ends(&mut self, resets: u64, now: u64) -> bool {
        let seconds = now.saturating_sub(self.at) / SECOND;
        self.at += seconds * SECOND;
        self.level = self
            .level
            .saturating_sub(seconds.saturating_mul(self.a_second))
            + resets.saturating_sub(self.seen);
        self.seen = resets;
        self.level > RESETS_AT_ONCE * self.a_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_at_once_has_an_end_and_comes_again_with_time() {
        let mut left = Forbearance::new(10, 500);
        assert!(!left.ends(200, 500));
        assert!(!left.ends(200, 1400), "nothing was added");
        assert!(left.ends(201, 1499));
        let mut left = Forbearance::new(10, 500);
        assert!(!left.ends(200, 500));
        assert!(!left.ends(300, 1500), "a hundred have come back");
        assert!(left.ends(301, 1500));
    }

    #[test]
    fn whoever_takes_back_all_it_asks_for_each_second_may_do_so_for_ever() {
        let mut left = Forbearance::new(250, 0);
        for second in 1..1000 {
            assert!(!left.ends(second * 250, second * SECOND), "{second}");
        }
    }

    #[test]
    fn parts_of_a_second_are_not_lost() {
        let mut left = Forbearance::new(1, 0);
        assert!(!left.ends(200, 0));
        for at in 1..=10 {
            assert!(!left.ends(200, at * 150));
        }
        assert!(!left.ends(300, 1500));
        assert!(left.ends(400, 1999));
        assert!(!left.ends(400, 2000), "two seconds in all");
    }
}
