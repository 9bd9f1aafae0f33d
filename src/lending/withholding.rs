//! What may be lent of a pool, and until when: the supervisor's word, which holds when the supervisor is dead.

use super::stock::Stock;
use crate::{ids::SlotIndex, pool::Bells};

impl Stock {
    /// Lends nothing of this pool until [`Self::resume`]: who waits keeps the place, leases go on, no offer is taken up.
    /// Holds for slots that are stocked meanwhile, and when the supervisor is dead. Can be cut off and done again.
    pub fn pause(&self) {
        // First of all: what is stocked from now on is held back, and whoever finds us dead half-way goes on ([`Self::sweep`]).
        self.terms().set_paused(true);
        self.pool().pause();
    }

    /// Lends again, first to those who wait.
    pub fn resume(&self) {
        self.terms().set_paused(false);
        self.pool().resume(&*self.bells);
    }

    /// Ends the lease of `slot` that is under way: its worker cuts the connection off. The slot is free when that is done, and
    /// lent again, unless it was taken out of use. False: nobody holds it.
    pub fn end_lease(&self, slot: SlotIndex) -> bool {
        let pool = self.pool();
        let Some(seat) = pool.slots[slot.get()].end() else {
            return false;
        };
        if let Some(words) = pool.seats.get(seat.get()) {
            words.summon();
            self.bells.ring(seat);
        }
        true
    }

    /// Says until when requests are stamped with this pool's tokens, and when what is under way then is cut off, both in
    /// milliseconds of the monotonic clock; `None`: no such deadline. They hold when this supervisor is dead.
    pub fn set_deadlines(&self, lend_until: Option<u64>, cut_at: Option<u64>) {
        let terms = self.terms();
        let is_sooner = |new: Option<u64>, old: Option<u64>| match (new, old) {
            (Some(new), Some(old)) => new < old,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let must_know = is_sooner(cut_at, terms.cut_at());
        terms.set_deadlines(lend_until, cut_at);
        // A deadline that moves away is found by whoever looks at the old one.
        if must_know {
            self.summon_all();
        }
    }
}
