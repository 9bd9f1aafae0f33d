//! Who holds a slot, since when, and which holds of late were the longest: for people to read.
//!
//! Each note has one writer, and a sum over its words. What is read while it is written, or was left half-way by one who died,
//! does not add up and is not shown, so no ordering is asked for.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use crate::sync::AtomicU64;

/// A hold shorter than this is not slow.
pub const LEAST_TOLD: Duration = Duration::from_secs(1);
/// Milliseconds of a span: the longest hold is known of the span that goes on, and of the one before.
const SPAN_MS: u64 = 5 * 60 * 1000;

/// `N` words that are read whole or not at all. Zeroed memory is a note that nobody wrote.
#[repr(C)]
#[derive(Debug)]
struct Note<const N: usize> {
    words: [AtomicU64; N],
    sum: AtomicU64,
}

impl<const N: usize> Note<N> {
    fn new() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
        }
    }

    /// Writes it, in the name of `whose`.
    fn write(&self, whose: u64, values: [u64; N]) {
        // Relaxed, here and below: see the module.
        for (word, value) in self.words.iter().zip(values) {
            word.store(value, Relaxed);
        }
        self.sum.store(sum(whose, &values), Relaxed);
    }

    /// Reads it, if it is written in the name of `whose`.
    fn read(&self, whose: u64) -> Option<[u64; N]> {
        let values = std::array::from_fn(|at| self.words[at].load(Relaxed));
        (self.sum.load(Relaxed) == sum(whose, &values)).then_some(values)
    }
}

/// Tells notes apart; two that differ have the same one by an accident of one in 2^64.
fn sum(whose: u64, values: &[u64]) -> u64 {
    // The steps of SplitMix64, which leaves no word without a part in each bit.
    let step = |sum: u64, value: u64| {
        let mixed = (sum ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 27
    };
    values
        .iter()
        .fold(step(0, whose), |sum, &value| step(sum, value))
}

/// An address as two words; none is that of all zeros, which no client has.
fn words_of(client: Option<IpAddr>) -> [u64; 2] {
    let bits = client.map_or(0, |address| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    });
    // The halves of it.
    [(bits >> 64) as u64, (bits & u128::from(u64::MAX)) as u64]
}

fn address_of(high: u64, low: u64) -> Option<IpAddr> {
    let bits = u128::from(high) << 64 | u128::from(low);
    (bits != 0).then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())
}

/// Since when a slot is held, and for which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Milliseconds of the clock that all processes share.
    pub since: u64,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
}

/// The words of a slot that say so. Only its holder writes them, once a lease.
#[repr(C)]
#[derive(Debug)]
pub struct HolderNote(Note<3>);

impl HolderNote {
    /// Nobody's.
    #[must_use]
    pub fn new() -> Self {
        Self(Note::new())
    }

    /// Notes how `holder` has the slot, which is any number that tells its holders apart.
    pub fn write(&self, holder: u64, held: Held) {
        let [high, low] = words_of(held.client);
        self.0.write(holder, [held.since, high, low]);
    }

    /// How `holder` has the slot; `None`: it has not said so.
    #[must_use]
    pub fn read(&self, holder: u64) -> Option<Held> {
        let [since, high, low] = self.0.read(holder)?;
        Some(Held {
            since,
            client: address_of(high, low),
        })
    }
}

impl Default for HolderNote {
    fn default() -> Self {
        Self::new()
    }
}

/// A hold that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedHold {
    /// Of which slot.
    pub slot: usize,
    /// For how long, milliseconds.
    pub held_ms: u64,
    /// When it ended, milliseconds of the clock that all processes share.
    pub ended_at: u64,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
}

impl EndedHold {
    fn span(self) -> u64 {
        self.ended_at / SPAN_MS
    }
}

/// The longest holds of a seat's worker that ended in the span that goes on and in the one before. Only that worker writes it.
#[repr(C)]
#[derive(Debug)]
pub struct LongestHolds([Note<5>; 2]);

impl LongestHolds {
    fn at(&self, span: u64) -> &Note<5> {
        &self.0[usize::from(span % 2 == 1)]
    }

    fn read(note: &Note<5>) -> Option<EndedHold> {
        let [ended_at, held_ms, slot, high, low] = note.read(0)?;
        Some(EndedHold {
            slot: usize::try_from(slot).ok()?,
            held_ms,
            ended_at,
            client: address_of(high, low),
        })
    }

    /// Notes that a hold has ended, if none that was longer has in its span.
    pub fn note(&self, hold: EndedHold) {
        let note = self.at(hold.span());
        let before = Self::read(note).filter(|before| before.span() == hold.span());
        if before.is_some_and(|before| before.held_ms >= hold.held_ms) {
            return;
        }
        let [high, low] = words_of(hold.client);
        let values = [hold.ended_at, hold.held_ms, hold.slot as u64, high, low];
        note.write(0, values);
    }

    /// The longest of the last five to ten minutes, as of `now`.
    #[must_use]
    pub fn longest(&self, now: u64) -> Option<EndedHold> {
        let span = now / SPAN_MS;
        let spans = [span.wrapping_sub(1), span];
        let holds = self.0.iter().filter_map(Self::read);
        holds
            .filter(|hold| spans.contains(&hold.span()))
            .max_by_key(|hold| hold.held_ms)
    }
}

impl Default for LongestHolds {
    fn default() -> Self {
        Self([Note::new(), Note::new()])
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use super::*;

    fn hold(slot: usize, held_ms: u64, ended_at: u64) -> EndedHold {
        EndedHold {
            slot,
            held_ms,
            ended_at,
            client: Some([10, 0, 0, 7].into()),
        }
    }

    #[test]
    fn a_note_is_read_by_the_name_it_was_written_in_and_no_other() {
        let note = HolderNote::new();
        assert_eq!(note.read(0), None, "nobody wrote it");
        for client in [
            None,
            Some([10, 0, 0, 7].into()),
            Some("2001:db8::1".parse().unwrap()),
        ] {
            let held = Held { since: 5, client };
            note.write(3, held);
            assert_eq!((note.read(3), note.read(4)), (Some(held), None));
        }
    }

    #[test]
    fn what_is_half_written_is_not_read() {
        let note = HolderNote::new();
        let held = |since| Held {
            since,
            client: None,
        };
        note.write(3, held(5));
        note.0.words[0].store(6, Relaxed);
        assert_eq!(note.read(3), None);
        note.write(3, held(6));
        assert_eq!(note.read(3), Some(held(6)));
    }

    #[test]
    fn the_longest_of_two_spans_is_known_and_then_forgotten() {
        let holds = LongestHolds::default();
        assert_eq!(holds.longest(SPAN_MS), None);
        let at = 7 * SPAN_MS;
        holds.note(hold(1, 9_000, at));
        holds.note(hold(2, 3_000, at + 1));
        assert_eq!(holds.longest(at + 2), Some(hold(1, 9_000, at)));
        holds.note(hold(3, 4_000, at + SPAN_MS));
        assert_eq!(holds.longest(at + SPAN_MS), Some(hold(1, 9_000, at)));
        let next = hold(3, 4_000, at + SPAN_MS);
        assert_eq!(holds.longest(at + 2 * SPAN_MS), Some(next));
        assert_eq!(holds.longest(at + 3 * SPAN_MS), None);
        holds.note(hold(4, 1_000, at + 4 * SPAN_MS));
        let last = hold(4, 1_000, at + 4 * SPAN_MS);
        assert_eq!(holds.longest(at + 4 * SPAN_MS), Some(last));
    }
}
