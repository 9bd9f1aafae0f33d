//! A rate for each of very many keys: [`super::Rate`], kept in sets of eight words that keys share.
//!
//! ```text
//! word  63..42        41..0
//!       fingerprint   theoretical arrival time, in steps of 10 µs
//! ```
//! A key's hash says its set, and tells it apart there. An entry whose time has passed says nothing, so whoever needs room takes it
//! over by one exchange; nothing is ever cleaned up. If all eight of a set are owing, the one that owes least makes room, and that is
//! counted. The hash is keyed by numbers that only the region holds, so nobody can choose keys that meet.
//!
//! Of two newcomers of one key at once each may have taken an entry of its own. Each does "write mine, full fence, look at the
//! others", so at least one sees both, takes its own back and begins again.

use std::{
    hash::Hasher as _,
    sync::atomic::Ordering::{Relaxed, SeqCst},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use crate::{
    ids::mask,
    sync::{AtomicU64, fence},
};

use super::rate::{Quota, Refused};

/// Entries of a set: a cache line.
pub const SET: usize = 8;
const TIME_BITS: u32 = 42;
/// Nanoseconds of a step. The steps come round after 509 days.
const STEP: u64 = 10_000;
/// What an entry may owe at most, in steps: a week. One that seems to owe more is of another round.
const MOST_AHEAD: u64 = 7 * 24 * 3600 * (1_000_000_000 / STEP);

/// A [`Quota`] in a table's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableQuota {
    cost: u64,
    ahead: u64,
}

impl TableQuota {
    /// Of `quota`, its cost rounded up to 10 µs. No more may run up than is paid off in a week, and one request costs no more.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        let cost = quota.cost.div_ceil(STEP).min(MOST_AHEAD);
        let burst = quota.ahead / quota.cost;
        let ahead = cost.saturating_mul(burst).min(MOST_AHEAD);
        Self { cost, ahead }
    }

    /// In how long all is paid off of which so many more would be admitted.
    #[must_use]
    pub fn full_after(self, left: u64) -> Duration {
        let owing = self.ahead.saturating_sub(left.saturating_mul(self.cost));
        Duration::from_nanos(owing * STEP)
    }
}

/// A view of a table. Zeroed memory is an empty one, whose hash has no secret yet.
#[derive(Debug, Clone, Copy)]
pub struct RateTable<'a> {
    /// Two words of the secret, then the number of evictions.
    head: &'a [AtomicU64],
    entries: &'a [AtomicU64],
}

/// A set as it was seen, at one time.
struct Seen {
    words: [u64; SET],
    print: u64,
    now: u64,
}

impl Seen {
    fn is_own(&self, at: usize) -> bool {
        self.words[at] >> TIME_BITS == self.print
    }

    /// What the entry at `at` owes, in steps.
    fn debt(&self, at: usize) -> u64 {
        let ahead = self.words[at].wrapping_sub(self.now) & mask(TIME_BITS);
        // Zero is an empty entry.
        if self.words[at] == 0 || ahead > MOST_AHEAD {
            0
        } else {
            ahead
        }
    }

    fn own(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SET).filter(|&at| self.is_own(at))
    }

    /// Where a newcomer goes: where nothing is owed, or else least.
    fn cheapest(&self) -> usize {
        (0..SET).min_by_key(|&at| self.debt(at)).unwrap_or(0)
    }

    fn owing(&self, debt: u64) -> u64 {
        self.print << TIME_BITS | self.now.wrapping_add(debt) & mask(TIME_BITS)
    }
}

impl<'a> RateTable<'a> {
    /// Over `words`, of which the first [`SET`] are the table's head. `None`: there is no set.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let (head, entries) = words.split_at_checked(SET)?;
        (entries.len() >= SET).then_some(Self { head, entries })
    }

    /// Gives the hash its secret. For whoever makes the table: afterwards no key is found again.
    pub fn set_secret(self, secret: [u64; 2]) {
        for (word, value) in self.head.iter().zip(secret) {
            // Relaxed: nobody else has the table yet.
            word.store(value, Relaxed);
        }
    }

    /// Whether its hash has one.
    #[must_use]
    pub fn has_secret(self) -> bool {
        // Relaxed: see `set_secret`.
        self.head[..2].iter().all(|word| word.load(Relaxed) != 0)
    }

    /// Entries that had to make room although they were owing.
    #[must_use]
    pub fn evictions(self) -> u64 {
        // Relaxed: a number on its own.
        self.head[2].load(Relaxed)
    }

    /// Admits one request of `key` under the limit called `limit` at `now` (nanoseconds of a clock that all processes share), and
    /// returns how many more could follow at once.
    ///
    /// # Errors
    /// If that is more than `quota` allows; nothing is changed then.
    pub fn admit(
        self,
        quota: TableQuota,
        (limit, key): (u64, &[u8]),
        now: u64,
    ) -> Result<u64, Refused> {
        let (set, print) = self.place(limit, key);
        loop {
            let seen = look(set, print, now);
            // Should a key have two entries, it owes what both say.
            let after = seen.own().map(|at| seen.debt(at)).sum::<u64>() + quota.cost;
            if after > quota.ahead {
                let over = Duration::from_nanos((after - quota.ahead) * STEP);
                return Err(Refused { after: over });
            }
            let has_moved = match seen.own().next() {
                Some(at) => exchange(set, &seen, at, seen.debt(at) + quota.cost),
                None => self.enter(set, &seen, quota),
            };
            if has_moved {
                return Ok((quota.ahead - after) / quota.cost);
            }
        }
    }

    /// Enters a key that the set did not have. False: another was quicker, at the same place or with the same key.
    fn enter(self, set: &[AtomicU64], seen: &Seen, quota: TableQuota) -> bool {
        let at = seen.cheapest();
        if !exchange(set, seen, at, quota.cost) {
            return false;
        }
        // Full fence between our entry and the look for another of the same key; its maker has the same one. Of two such, the one
        // whose fence comes second sees what the first wrote.
        fence(SeqCst);
        let met = look(set, seen.print, seen.now * STEP);
        if met.own().any(|other| other != at && met.debt(other) > 0) {
            let entered = seen.owing(quota.cost);
            // Relaxed, here and in `exchange`: each word says all there is to know.
            let taken_back = set[at].compare_exchange(entered, 0, Relaxed, Relaxed);
            if taken_back.is_err() {
                // Somebody else of the key has moved it on meanwhile, or it was evicted.
                let _ = set[at].fetch_update(Relaxed, Relaxed, |word| {
                    (word >> TIME_BITS == seen.print).then(|| word - quota.cost)
                });
            }
            return false;
        }
        if seen.debt(at) > 0 {
            // Relaxed: a number on its own.
            self.head[2].fetch_add(1, Relaxed);
        }
        true
    }

    /// The set of a key, and what tells it from others there.
    fn place(self, limit: u64, key: &[u8]) -> (&'a [AtomicU64], u64) {
        // Relaxed: written before anybody else had the table.
        let [first, second] = [0, 1].map(|at| self.head[at].load(Relaxed));
        let mut hasher = SipHasher13::new_with_keys(first, second);
        hasher.write_u64(limit);
        hasher.write(key);
        let hash = hasher.finish();
        let sets = (self.entries.len() / SET) as u64;
        // The fingerprint is of other bits than the set, and never that of an empty entry.
        let set = (hash & mask(TIME_BITS)) % sets;
        let print = (hash >> TIME_BITS).max(1);
        (&self.entries[set as usize * SET..][..SET], print)
    }
}

fn look(set: &[AtomicU64], print: u64, now: u64) -> Seen {
    Seen {
        // Relaxed: see `RateTable::enter`.
        words: std::array::from_fn(|at| set[at].load(Relaxed)),
        print,
        now: (now / STEP) & mask(TIME_BITS),
    }
}

/// Has the entry at `at` be the key's, and owe `debt`. False: it is not as it was seen.
fn exchange(set: &[AtomicU64], seen: &Seen, at: usize, debt: u64) -> bool {
    set[at]
        .compare_exchange(seen.words[at], seen.owing(debt), Relaxed, Relaxed)
        .is_ok()
}
