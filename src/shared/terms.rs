//! What holds for a pool as a whole: how many slots are configured, and until when they may be used.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

use super::tenure::{Tenure, TenureWords, Tenures};

/// The words of a pool as a whole.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PoolWords {
    /// The number of the next ticket: fought over, so on lines of its own.
    pub(crate) tickets: CachePadded<AtomicU64>,
    /// Head of the pool's [`super::Suspects`].
    pub(crate) suspects: CachePadded<AtomicU64>,
    /// What only the supervisor writes.
    pub(crate) terms: Terms,
}

/// What the supervisor says of a pool. Read with each request and hardly ever written, so every processor keeps a copy.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct Terms {
    slots_used: AtomicU64,
    /// Deadlines of the whole pool, which nobody has ever set.
    reserved: [AtomicU64; 2],
    is_paused: AtomicU64,
    /// Accounts, if the upstream refuses them all and no token is left; 0 otherwise.
    hopeless: AtomicU64,
    /// When the first token comes back, milliseconds of the boot clock, if the upstream wants all of them spared; 0 otherwise.
    all_spared: AtomicU64,
    /// Its tokens are keys that the upstream may want spared.
    has_keys: AtomicU64,
    reserved_too: AtomicU64,
    /// In the other cache line, which is read where a slot has a tenure.
    tenures: Tenures,
    reserved_last: [AtomicU64; 2],
}

/// Why nobody need wait for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hopeless {
    /// The upstream refuses the logins of all accounts, so many, and no token is left.
    Refused(u64),
    /// The upstream wants every token spared; the first one comes back then, milliseconds of the boot clock.
    Spared(u64),
}

impl Terms {
    /// Slots that are or were configured.
    #[must_use]
    pub fn slots_used(&self) -> usize {
        // Acquire, pairs with Release below: a slot that is counted has been made ready. No model sees it, since no
        // mapping can lie under loom; a slot that is not ready is zeros, which nobody can lease, so weaker would do.
        self.slots_used.load(Acquire) as usize
    }

    pub(crate) fn set_slots_used(&self, slots: usize) {
        self.slots_used.store(slots as u64, Release);
    }

    /// Until when slots of `tenure` are used.
    #[must_use]
    pub fn tenure(&self, tenure: Tenure) -> &TenureWords {
        TenureWords::of(&self.tenures, tenure)
    }

    /// Whether its slots are shared with other hosts, so that there are deadlines to look at.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.tenures.iter().any(|tenure| !tenure.is_unused())
    }

    /// Whether a slot of `tenure` may be lent to whoever comes next, if it has something to lend; `now` is asked for the time of the
    /// boot clock, milliseconds, only if there is a deadline.
    #[must_use]
    pub fn may_lend(&self, tenure: Option<Tenure>, now: impl FnOnce() -> u64) -> bool {
        !self.is_paused() && tenure.is_none_or(|tenure| self.tenure(tenure).may_lend(now()))
    }

    /// Whether the pool is paused: slots put in use meanwhile are held back as well.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Relaxed) != 0
    }

    /// Whether its tokens are keys, of which one rests when the upstream has had enough of it.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        // Relaxed: a flag on its own; a worker that reads an old one passes an answer on, as it did before.
        self.has_keys.load(Relaxed) != 0
    }

    pub(crate) fn set_has_keys(&self, has_keys: bool) {
        self.has_keys.store(u64::from(has_keys), Relaxed);
    }

    /// Whether there is no token to wait for, and why.
    #[must_use]
    pub fn hopeless(&self) -> Option<Hopeless> {
        // Relaxed: numbers on their own; the bells that follow a change carry the order.
        match (self.all_spared.load(Relaxed), self.hopeless.load(Relaxed)) {
            (0, 0) => None,
            (0, accounts) => Some(Hopeless::Refused(accounts)),
            (until, _) => Some(Hopeless::Spared(until)),
        }
    }

    /// Says so, or that there is hope. True if that is news.
    pub(crate) fn set_hopeless(&self, why: Option<Hopeless>) -> bool {
        let (until, accounts) = match why {
            None => (0, 0),
            Some(Hopeless::Refused(accounts)) => (0, accounts),
            Some(Hopeless::Spared(until)) => (until, 0),
        };
        // Relaxed: see `hopeless`; only the supervisor writes.
        let was_spared = self.all_spared.swap(until, Relaxed) != until;
        self.hopeless.swap(accounts, Relaxed) != accounts || was_spared
    }

    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(u64::from(is_paused), Relaxed);
    }
}
