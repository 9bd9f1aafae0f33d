//! Until when a host may use what it has of an account that several hosts share.
//!
//! All times are milliseconds of [`crate::clock::boot_millis`], which goes on while the machine is suspended. 0 is long over, so
//! what nobody has said anything of is not used.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::AtomicU64;

/// By which right this host has a slot; one that has none is this host's alone, and has no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tenure {
    /// As long as this host shows itself every few seconds: another one may have it soon after.
    Floating,
    /// Of this host's own part, which it keeps for an hour or so when it can show itself nowhere.
    Home,
}

impl Tenure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Floating, Self::Home];

    /// As metrics and log lines name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Floating => "floating",
            Self::Home => "home",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Floating => 0,
            Self::Home => 1,
        }
    }

    /// Its number in a slot.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn pack(tenure: Option<Self>) -> u64 {
        tenure.map_or(0, |tenure| tenure.index() as u64 + 1)
    }

    /// Reads such a number. One that nobody writes is the stricter of the two.
    pub(crate) fn unpack(number: u64) -> Option<Self> {
        match number {
            0 => None,
            2 => Some(Self::Home),
            _ => Some(Self::Floating),
        }
    }
}

/// Until when the slots of one tenure are used, one time after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadlines {
    /// From here on no request is stamped with such a token, and none is lent.
    pub lend_until: u64,
    /// What is under way then is cut off by its worker.
    pub cut_at: u64,
    /// A worker that holds one still is killed then, by the kernel: it was stopped.
    pub kill_at: u64,
}

/// What a worker that runs may take to cut off what is under way, milliseconds, before the kernel ends it.
const TIME_TO_CUT: u64 = 1000;

impl Deadlines {
    /// They come at `now`. Only a worker that is stopped is killed.
    #[must_use]
    pub fn over(now: u64) -> Self {
        Self {
            lend_until: now,
            cut_at: now,
            kill_at: now + TIME_TO_CUT,
        }
    }
}

/// [`Deadlines`] in shared memory. Read with each request, written by the supervisor every few seconds.
#[repr(C)]
#[derive(Debug, Default)]
pub struct TenureWords {
    lend_until: AtomicU64,
    cut_at: AtomicU64,
    kill_at: AtomicU64,
}

/// The words of both tenures.
pub(super) type Tenures = [TenureWords; Tenure::ALL.len()];

impl TenureWords {
    pub(super) fn of(both: &Tenures, tenure: Tenure) -> &Self {
        &both[tenure.index()]
    }

    // A worker that reads an old one of those that move away does less than it may; whoever brings one nearer rings the workers
    // afterwards. Relaxed but for one pair: each word is a number on its own.

    /// The words now, each by itself.
    #[must_use]
    pub fn read(&self) -> Deadlines {
        Deadlines {
            lend_until: self.lend_until.load(Relaxed),
            cut_at: self.cut_at.load(Relaxed),
            kill_at: self.kill_at.load(Relaxed),
        }
    }

    /// Whether such a slot may be lent, and a request stamped with its token, at `now`.
    #[must_use]
    pub fn may_lend(&self, now: u64) -> bool {
        // Acquire, pairs with Release in `set`: whoever finds that there is time again finds a `kill_at` that is to come, and has
        // not itself killed by one that is past.
        now < self.lend_until.load(Acquire)
    }

    /// Whether what is under way is to be cut off at `now`.
    #[must_use]
    pub fn is_cut(&self, now: u64) -> bool {
        self.cut_at.load(Relaxed) <= now
    }

    /// When the kernel ends whoever holds such a slot still.
    #[must_use]
    pub fn kill_at(&self) -> u64 {
        self.kill_at.load(Relaxed)
    }

    /// Whether nobody has ever said anything: there is no slot of this tenure.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.lend_until.load(Relaxed) == 0
    }

    /// Sets them; the supervisor's move. The last one first: should we be killed in between, what may be stamped is still cut,
    /// by a deadline that held when it was said.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn set(&self, deadlines: Deadlines) {
        self.kill_at.store(deadlines.kill_at, Relaxed);
        self.cut_at.store(deadlines.cut_at, Relaxed);
        // Release: see `may_lend`.
        self.lend_until.store(deadlines.lend_until, Release);
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_survives_packing_and_any_number_is_one() {
        for tenure in [None, Some(Tenure::Floating), Some(Tenure::Home)] {
            assert_eq!(Tenure::unpack(Tenure::pack(tenure)), tenure);
        }
        assert_eq!(Tenure::unpack(u64::MAX), Some(Tenure::Floating));
    }

    #[test]
    fn what_nobody_has_said_anything_of_is_over() {
        let words = TenureWords::default();
        assert!(words.is_unused() && !words.may_lend(1) && words.is_cut(1));
        words.set(Deadlines::over(5));
        assert!(!words.is_unused() && !words.may_lend(5) && words.is_cut(5));
        assert!(words.kill_at() > 5, "who runs has time to cut");
        let (lend_until, cut_at, kill_at) = (10, 20, 30);
        let deadlines = Deadlines {
            lend_until,
            cut_at,
            kill_at,
        };
        words.set(deadlines);
        assert_eq!(words.read(), deadlines);
        assert!(words.may_lend(9) && !words.may_lend(10));
        assert!(!words.is_cut(19) && words.is_cut(20));
    }
}
