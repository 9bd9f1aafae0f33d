//! How many connections end here: those that come and go spread over the workers by themselves.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How long an end is remembered: for this time, ms, and for as much of the one before.
const SPAN: u64 = 100;

/// The connections of a worker that ended lately. All orderings in it are Relaxed, for one thread reads and writes.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    /// Which span it is.
    span: AtomicU64,
    ended: AtomicUsize,
    ended_before: AtomicUsize,
}

impl Churn {
    /// Notes that a connection ended at `now`, ms of the worker's clock.
    pub(crate) fn note_end(&self, now: u64) {
        self.turn(now);
        self.ended
            .store(self.ended.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Those that ended within the last one or two spans.
    pub(crate) fn ended_lately(&self, now: u64) -> usize {
        self.turn(now);
        self.ended
            .load(Relaxed)
            .saturating_add(self.ended_before.load(Relaxed))
    }

    fn turn(&self, now: u64) {
        let span = now / SPAN;
        let last = self.span.load(Relaxed);
        if span == last {
            return;
        }
        let ended = if span == last + 1 {
            self.ended.load(Relaxed)
        } else {
            0
        };
        self.ended_before.store(ended, Relaxed);
        self.ended.store(0, Relaxed);
        self.span.store(span, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_remembered_for_a_span_or_two() {
        let churn = Churn::default();
        assert_eq!(churn.ended_lately(0), 0);
        for now in [0, 1, SPAN - 1, SPAN] {
            churn.note_end(now);
        }
        assert_eq!(churn.ended_lately(2 * SPAN - 1), 4);
        assert_eq!(churn.ended_lately(2 * SPAN), 1);
        assert_eq!(churn.ended_lately(3 * SPAN), 0);
        churn.note_end(4 * SPAN);
        assert_eq!(churn.ended_lately(100 * SPAN), 0, "long ago");
    }
}
