//! Who has held a slot for long: noted by the holder once a lease, read by whoever looks.

use std::{net::IpAddr, time::Duration};

use crate::{
    clock::monotonic_millis,
    ids::SlotIndex,
    pool::Holder,
    shared::{EndedHold, Held, LEAST_TOLD},
};

use super::{lease::Lease, stock::Stock};

/// How a slot is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// For how long.
    pub held: Duration,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
    /// For how long its connection has asked nothing; `None`: it is at work.
    pub idle: Option<Duration>,
}

impl Lease {
    /// Says for which client it is held, and since when: milliseconds of the monotonic clock. Once a lease is enough.
    pub fn note_holder(&self, client: Option<IpAddr>, since: u64) {
        let (slot, claim) = self.held_slot();
        slot.note_holder(claim, Held { since, client });
    }

    /// Says that it is about to end after so long.
    pub fn note_end(&self, held: Duration) {
        if held < LEAST_TOLD {
            return;
        }
        let (slot, claim) = self.held_slot();
        let hold = EndedHold {
            slot: self.slot().get(),
            held_ms: u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
            ended_at: monotonic_millis(),
            client: slot.held_by(claim).and_then(|held| held.client),
        };
        self.count_hold(hold);
    }
}

impl Stock {
    /// How `slot` is held; `None`: it is not, or its holder has not said so.
    #[must_use]
    pub fn holding(&self, slot: SlotIndex) -> Option<Holding> {
        let pool = self.pool();
        let words = pool.slots.get(slot.get())?;
        let holder = words.word().holder;
        let Holder::Leased { .. } = holder else {
            return None;
        };
        let held = words.note_of(holder)?;
        let now = monotonic_millis();
        let passed = |since: u64| Duration::from_millis(now.saturating_sub(since));
        Some(Holding {
            held: passed(held.since),
            client: held.client,
            idle: self.token_words(slot).idle_since().map(passed),
        })
    }

    /// The longest hold that ended in the last five to ten minutes, if it was a second or more, and how long ago it did.
    #[must_use]
    pub fn longest_ended(&self) -> Option<(EndedHold, Duration)> {
        let now = monotonic_millis();
        let seats = self.region.pool_seats_at(self.parts()).iter();
        let longest = seats.filter_map(|seat| seat.holds.longest(now));
        let longest = longest.max_by_key(|hold| hold.held_ms)?;
        let ago = now.saturating_sub(longest.ended_at);
        Some((longest, Duration::from_millis(ago)))
    }
}
