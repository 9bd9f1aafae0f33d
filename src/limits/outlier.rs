//! Which servers of a group are left out for a while, since they keep failing: each server's own word, and the group's, which holds
//! the bound.
//!
//! ```text
//! server  63..48     47..40   39..0            group  63..48     47..0
//!         failures   times    until, ms               sequence   one bit a member
//! ```
//! A member is out as long as its bit is set *and* its server's time has not come. So nobody has to let it in again, and the bits
//! that are set never are more than the bound, whoever dies between the two words.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{ids::mask, sync::AtomicU64};

const FAILURES_SHIFT: u32 = 48;
const FAILURES_BITS: u32 = 16;
const TIMES_SHIFT: u32 = 40;
const TIMES_BITS: u32 = 8;
const UNTIL_BITS: u32 = 40;
/// Members that a group's word has bits for.
pub const MEMBERS: usize = 48;

/// When a server is left out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierRules {
    /// Failures one after the other.
    pub consecutive: u16,
    /// For how long the first time; the second time twice as long, and so on.
    pub base: Duration,
    /// For how long at most.
    pub most: Duration,
}

/// A view of one server's word. Zeroed memory is a sound one.
#[derive(Debug, Clone, Copy)]
pub struct Outlier<'a>(&'a AtomicU64);

#[derive(Debug, Clone, Copy)]
struct Word {
    failures: u64,
    /// How often it was left out, less what good behaviour took off.
    times: u64,
    until: u64,
}

impl Word {
    fn unpack(word: u64) -> Self {
        Self {
            failures: word >> FAILURES_SHIFT,
            times: word >> TIMES_SHIFT & mask(TIMES_BITS),
            until: word & mask(UNTIL_BITS),
        }
    }

    fn pack(self) -> u64 {
        self.failures.min(mask(FAILURES_BITS)) << FAILURES_SHIFT
            | self.times.min(mask(TIMES_BITS)) << TIMES_SHIFT
            | self.until & mask(UNTIL_BITS)
    }
}

impl<'a> Outlier<'a> {
    /// Over `word`.
    #[must_use]
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Whether its time has not come at `now`, milliseconds of a clock that all processes share.
    #[must_use]
    pub fn is_out(self, now: u64) -> bool {
        // Relaxed, here and below: all there is to know stands in the one word.
        Word::unpack(self.0.load(Relaxed)).until > now
    }

    /// The server did as it should. In health it costs one load.
    pub fn succeeded(self, rules: OutlierRules, now: u64) {
        let base = millis(rules.base);
        let _ = self.0.fetch_update(Relaxed, Relaxed, |bits| {
            let word = Word::unpack(bits);
            // It was good for as long again as a first time out lasts.
            let is_better = word.times > 0 && now > word.until + base;
            (word.failures > 0 || is_better).then(|| {
                let times = word.times - u64::from(is_better);
                Word {
                    failures: 0,
                    times,
                    until: if is_better { now } else { word.until },
                }
                .pack()
            })
        });
    }

    /// The server failed. True if it is to be left out from now on: to be said to its groups ([`Group::leave_out`]).
    pub fn failed(self, rules: OutlierRules, now: u64) -> bool {
        let mut is_over = false;
        let changed = self.0.fetch_update(Relaxed, Relaxed, |bits| {
            let word = Word::unpack(bits);
            if word.until > now {
                // What was under way when it was left out.
                return None;
            }
            is_over = word.failures + 1 >= u64::from(rules.consecutive.max(1));
            let times = word.times + u64::from(is_over);
            let long = millis(rules.base).saturating_mul(times);
            Some(
                Word {
                    failures: if is_over { 0 } else { word.failures + 1 },
                    times,
                    until: if is_over {
                        now + long.min(millis(rules.most))
                    } else {
                        word.until
                    },
                }
                .pack(),
            )
        });
        changed.is_ok() && is_over
    }

    /// Lets it in again, and forgets what was.
    pub fn forget(self) {
        self.0.store(0, Relaxed);
    }
}

/// A view of one group's words, [`MEMBERS`] to each. Zeroed memory is a group of which nobody is out.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    words: &'a [AtomicU64],
    /// How many it has.
    members: usize,
}

impl<'a> Group<'a> {
    /// Of `members`, over `words`. What has no bit is never left out.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], members: usize) -> Self {
        Self { words, members }
    }

    /// Whether the bit of `member` is set: it is left out, if its server still is out.
    #[must_use]
    pub fn is_marked(self, member: usize) -> bool {
        // Relaxed: whoever acts on it a moment late sends one request more.
        let word = self.words.get(member / MEMBERS);
        word.is_some_and(|word| word.load(Relaxed) >> (member % MEMBERS) & 1 != 0)
    }

    /// Leaves `member` out, unless more than `percent` of the members, or all, would be. `is_out` says whether a member's server is out
    /// ([`Outlier::is_out`]): whose time has come makes room. False: it stays in.
    pub fn leave_out(self, member: usize, percent: u64, is_out: impl Fn(usize) -> bool) -> bool {
        let (at, bit) = (member / MEMBERS, member % MEMBERS);
        let Some(word) = self.words.get(at) else {
            return false;
        };
        // Each word keeps the bound for its own members, and so all do.
        let here = self.members.saturating_sub(at * MEMBERS).min(MEMBERS);
        let most = (here as u64 * percent / 100).min(here.saturating_sub(1) as u64);
        // Relaxed: the bound is within the one word. The sequence keeps a member in whose time was renewed between our look at
        // it and the exchange: its maker has gone through here, too.
        let changed = word.fetch_update(Relaxed, Relaxed, |bits| {
            let still =
                (0..here).filter(|&other| bits >> other & 1 != 0 && is_out(at * MEMBERS + other));
            let marked = still.fold(1 << bit, |marked: u64, other| marked | 1 << other);
            let sequence = (bits >> MEMBERS).wrapping_add(1) << MEMBERS;
            (u64::from(marked.count_ones()) <= most).then_some(sequence | marked)
        });
        changed.is_ok()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .min(mask(UNTIL_BITS - 1))
}
