//! Nothing is lent for a while: whoever waits keeps the place, whoever holds goes on.

use crate::ids::SlotIndex;

use super::{Pool, dispatch::Bells};

impl Pool<'_> {
    /// Lends nothing from now on. What is on offer is not taken up any more. Can be cut off and done again.
    pub fn pause(&self) {
        for (index, slot) in self.slots.iter().enumerate() {
            // The peek spares a write to each slot at each sweep.
            if !slot.word().held_back {
                slot.hold_back();
                self.bitmap.clear(SlotIndex::new(index));
            }
        }
    }

    /// Lends again, first to those who wait. Can be cut off and done again.
    pub fn resume(&self, bells: &impl Bells) {
        self.let_go_of_all();
        self.dispatch(bells);
    }

    /// The first half of [`Self::resume`], for a sweep, whose end is the second.
    pub(crate) fn let_go_of_all(&self) {
        for (index, slot) in self.slots.iter().enumerate() {
            // The peek spares a write to each slot at each sweep.
            if slot.word().held_back && slot.let_go() {
                self.bitmap.set(SlotIndex::new(index));
            }
        }
    }
}
