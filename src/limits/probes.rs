//! Which probes a worker has under way, in a word of its own: so that they are given back when it dies, and not only when their time
//! is over.
//!
//! ```text
//! word  15..8        7..0
//!       generation   probes of that generation
//! ```
//! A probe is noted after it was taken, and its note struck before it is given back; a reclaim strikes the note first as well.
//! Whoever dies in between has lost a probe, which the breaker's own time finds again; nobody ever gives back another's.

use std::sync::atomic::Ordering::Relaxed;

use crate::{ids::mask, sync::AtomicU64};

use super::breaker::{Breaker, Pass};

const COUNT_BITS: u32 = 8;

/// A view of one worker's word for one breaker. Only that worker writes it, and whoever reclaims its seat. Relaxed throughout: a
/// worker's death is known to whoever reclaims, and no other reads it.
#[derive(Debug, Clone, Copy)]
pub struct Probes<'a>(&'a AtomicU64);

impl<'a> Probes<'a> {
    /// Over `word`.
    #[must_use]
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// `pass` was taken.
    pub fn note(self, pass: Pass) {
        if pass.is_probe() {
            let count = self.of(pass.generation()) + 1;
            self.set(pass.generation(), count);
        }
    }

    /// What came of `pass` is told next.
    pub fn strike(self, pass: Pass) {
        let count = self.of(pass.generation());
        if pass.is_probe() && count > 0 {
            self.set(pass.generation(), count - 1);
        }
    }

    /// Gives back what a worker that has ended had under way.
    pub fn give_back(self, breaker: Breaker<'_>) {
        let word = self.0.load(Relaxed);
        self.0.store(0, Relaxed);
        let count = word & mask(COUNT_BITS);
        if count > 0 {
            breaker.lost((word >> COUNT_BITS & 0xff) as u8, count);
        }
    }

    fn of(self, generation: u8) -> u64 {
        let word = self.0.load(Relaxed);
        // Those of an earlier generation count for nobody any more.
        if word >> COUNT_BITS == u64::from(generation) {
            word & mask(COUNT_BITS)
        } else {
            0
        }
    }

    fn set(self, generation: u8, count: u64) {
        let word = u64::from(generation) << COUNT_BITS | count.min(mask(COUNT_BITS));
        self.0.store(word, Relaxed);
    }
}
