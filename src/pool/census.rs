//! Counting by looking: no number is kept beside the words it would have to agree with.

use crate::ids::SeatIndex;

use super::{Pool, word::Holder};

/// The pool in numbers, read in one walk. Each slot is read once, so `available + in_use == usable` always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Slots that may be lent.
    pub usable: u64,
    /// Of these, lent or on offer.
    pub in_use: u64,
    /// Of these, free.
    pub available: u64,
    /// Slots still lent although they may not be lent again.
    pub retiring: u64,
    /// Connections in line.
    pub waiting: u64,
}

/// What a slot is doing, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Free, but without a token that may be lent, or held back.
    Unusable,
    /// Free.
    Free,
    /// On offer to a place in the line of this seat.
    Offered(SeatIndex),
    /// Lent to a connection of this seat.
    Leased(SeatIndex),
    /// Lent, and not to be lent again.
    Retiring(SeatIndex),
}

impl Pool<'_> {
    /// Counts slots and waiters.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census {
            waiting: self.waiting(),
            ..Census::default()
        };
        for slot in self.slots {
            let word = slot.word();
            match (word.may_be_lent(), word.holder) {
                (true, Holder::Free) => census.available += 1,
                (true, _) => census.in_use += 1,
                (false, Holder::Free) => {}
                (false, _) => census.retiring += 1,
            }
        }
        census.usable = census.available + census.in_use;
        census
    }

    /// Connections in line, over all workers.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.line()
            .map(|seat| self.lines[seat.get()].waiting())
            .fold(0, u64::saturating_add)
    }

    /// Leases that name `seat`.
    #[must_use]
    pub fn leases_of(&self, seat: SeatIndex) -> u64 {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.word().holder, Holder::Leased { seat: holder, .. } if holder == seat))
            .count() as u64
    }

    /// What the slot at `index` is doing.
    #[must_use]
    pub fn slot_state(&self, index: usize) -> SlotState {
        let word = self.slots[index].word();
        match (word.may_be_lent(), word.holder) {
            (false, Holder::Free) => SlotState::Unusable,
            (true, Holder::Free) => SlotState::Free,
            (true, Holder::Offered { seat, .. }) => SlotState::Offered(seat),
            (true, Holder::Leased { seat, .. }) => SlotState::Leased(seat),
            (false, Holder::Leased { seat, .. } | Holder::Offered { seat, .. }) => {
                SlotState::Retiring(seat)
            }
        }
    }
}
