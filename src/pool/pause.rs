//! Nothing is lent for a while, or nothing of a kind: whoever waits keeps the place, whoever holds goes on.
//!
//! Any process may hold slots back whose time is over, and the supervisor lets them go. Whoever does the one beside the other, by
//! an older look at the clock, is put right by the next sweep.

use crate::ids::SlotIndex;

use super::{Pool, Slot, dispatch::Bells};

impl Pool<'_> {
    /// Holds back what is not lent, and lets go what is held back and lent.
    pub(crate) fn settle_holds(&self, is_lent: impl Fn(&Slot) -> bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            // The peek spares a write to each slot at each sweep.
            match (slot.word().held_back, is_lent(slot)) {
                (false, false) => self.hold_one_back(slot, index),
                (true, true) => self.let_one_go(slot, index),
                _ => {}
            }
        }
    }

    fn hold_one_back(&self, slot: &Slot, index: usize) {
        slot.hold_back();
        self.bitmap.clear(SlotIndex::new(index));
    }

    fn let_one_go(&self, slot: &Slot, index: usize) {
        if slot.let_go() {
            self.bitmap.set(SlotIndex::new(index));
        }
    }

    /// Lends nothing from now on. What is on offer is not taken up any more. Can be cut off and done again.
    pub fn pause(&self) {
        self.hold_back(|_| true);
    }

    /// The same for the slots that are `to_be_held`.
    pub fn hold_back(&self, to_be_held: impl Fn(&Slot) -> bool) {
        for (index, slot) in self.slots.iter().enumerate() {
            if to_be_held(slot) && !slot.word().held_back {
                self.hold_one_back(slot, index);
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
            if slot.word().held_back && to_be_lent(slot) {
                self.let_one_go(slot, index);
            }
        }
    }
}
