//! Slots of this host's own part become ones that others may have soon after it falls silent. A worker that holds one has the kernel
//! look at its time, which a stopped worker would not change: so it is waited for that nobody holds it.

use tpp::{pool::SlotIndex, shared::Tenure};

use super::{super::Refresher, ShareEvent};
use crate::refresh::book_shares::PlaceOf;

impl Refresher {
    /// Holds back what is to be floating, and makes those floating that nobody holds; each is then lent on and told of.
    pub(super) fn look_at_floating(&mut self) {
        let Some(shares) = &mut self.shares else {
            return;
        };
        for (at, ticket) in std::mem::take(&mut shares.floating) {
            if self.make_floating(&at) {
                self.take(&at, Tenure::Floating, 0);
                self.say(ShareEvent::Floats(at, ticket));
            } else if let Some(shares) = &mut self.shares {
                shares.floating.insert(at, ticket);
            }
        }
    }

    /// Whether all that is or was that place is floating. A slot may have become that place's meanwhile.
    fn make_floating(&mut self, at: &PlaceOf) -> bool {
        let slots = self.handle.ledger().slots_of(at);
        self.hold_back(&slots);
        if !self.is_idle(at, &slots) {
            return false;
        }
        for slot in slots.into_iter().map(SlotIndex::new) {
            if self.stock.tenure(slot) == Some(Tenure::Home) {
                self.stock.set_tenure(slot, Some(Tenure::Floating));
            }
        }
        true
    }
}
