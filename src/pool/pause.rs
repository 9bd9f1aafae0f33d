//! Nothing is lent for a while, or nothing of a kind: whoever waits keeps the place, whoever holds goes on.
//!
//! Any process may hold slots back whose time is over, and the supervisor lets them go. Whoever does the one beside the other, by
//! an older look at the clock, is put right by the next sweep.

use crate::ids::SlotIndex;

use super::{Pool, Slot, dispatch::Bells};

impl Pool<'_> {
    /// Lends nothing from now on. What is on offer is not taken up any more. Can be cut off and done again.
    pub fn pause(&self) {
        self.hold_back(|_| true);
    }

    /// The same for the slots that are `to_be_held`.
    pub fn hold_back(&self, to_be_held: impl Fn(&Slot) -> bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            // The peek spares a write to each slot at each sweep.
            if to_be_held(slot) && !slot.word().held_back {
                slot.hold_back();
                self.bitmap.clear(SlotIndex::new(index));
            }
        }
    }

    /// Lends again, first to those who wait. Can be cut off and done again.
    pub fn resume(&self, bells: &impl Bells) {
        self.let_go(|_| true);
        self.dispatch(bells);
    }

    /// Lends those again that are `to_be_lent`; whoever calls serves the line then.
    pub(crate) fn let_go(&self, to_be_lent: impl Fn(&Slot) -> bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            // The peek spares a write to each slot at each sweep.
            if slot.word().held_back && to_be_lent(slot) && slot.let_go() {
                self.bitmap.set(SlotIndex::new(index));
            }
        }
    }
}
