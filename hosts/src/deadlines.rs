//! Until when a host may do what: all of it follows from `takeover` and from when the last good beat was *sent*.
//!
//! With `takeover` T and t0 before the beat left: stamp no request from t0 + 8/15 T, cut what is under way at t0 + 21/30 T, die
//! by the kernel's timer at t0 + 23/30 T. Another host takes over T after it *saw* the beat, by its own clock: there is no byte
//! of this host any more as long as the clocks' rates differ by less than 30/23.
use serde::{Deserialize, Serialize};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// How long a session stays a silent host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// For `takeover`: lent only while beats succeed.
    Floating,
    /// For `home_takeover`: lent for a long time without etcd.
    Home,
}

/// A class's three words in the region, ns of `CLOCK_BOOTTIME`. 0 in all: nothing was ever lent.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Words {
    /// From here on no request is stamped with a token of this class.
    pub lend_until: u64,
    /// Here what is under way with one is cut on both sides.
    pub cut_at: u64,
    /// Here the kernel kills a process that still holds one.
    pub kill_at: u64,
}

/// The words of both classes. They only grow in the life of a region.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Deadlines {
    /// Of floating sessions.
    pub floating: Words,
    /// Of home sessions.
    pub home: Words,
}

impl Words {
    /// The words of a class with this `takeover`, after a good beat that was sent at `t0`.
    #[must_use]
    pub fn after(t0: u64, takeover: u64) -> Self {
        Self {
            lend_until: t0 + takeover * 8 / 15,
            cut_at: t0 + takeover * 21 / 30,
            kill_at: t0 + takeover * 23 / 30,
        }
    }
}

impl Deadlines {
    /// The words of both classes after a good beat that was sent at `t0`.
    #[must_use]
    pub fn after(t0: u64, takeover: u64, home_takeover: u64) -> Self {
        Self {
            floating: Words::after(t0, takeover),
            home: Words::after(t0, home_takeover),
        }
    }

    /// Those of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Words {
        match class {
            Class::Floating => self.floating,
            Class::Home => self.home,
        }
    }
}

/// When the next beat is due after one that was sent.
pub(crate) fn beat_every(takeover: u64) -> u64 {
    takeover / 5
}

/// For how long an answer is waited for, so that there are three tries before lending ends.
pub(crate) fn answer_within(takeover: u64) -> u64 {
    takeover * 2 / 15
}

/// A login begins only with more than this left to `lend_until`.
#[must_use]
pub fn login_margin(takeover: u64) -> u64 {
    takeover / 5
}
