//! What may be lent of a pool, and until when: the supervisor's word, which holds when the supervisor is dead.

use super::stock::Stock;
use crate::{
    clock::boot_millis,
    ids::SlotIndex,
    pool::Bells,
    shared::{Deadlines, Tenure},
};

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
        self.let_go();
    }

    /// Lends what may be lent and was held back.
    fn let_go(&self) {
        let (pool, terms) = (self.pool(), self.terms());
        pool.let_go(|slot| terms.may_lend(slot.tenure(), boot_millis));
        pool.dispatch(&*self.bells);
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

    /// By which right this host has `slot`.
    #[must_use]
    pub fn tenure(&self, slot: SlotIndex) -> Option<Tenure> {
        self.pool().slots.get(slot.get())?.tenure()
    }

    /// Says by which right this host has `slot`. Whether it has a deadline at all may change only while nobody has it and it is out of
    /// use: false otherwise. From one deadline to the other it may change at any time, for requests from now on.
    pub fn set_tenure(&self, slot: SlotIndex, tenure: Option<Tenure>) -> bool {
        let words = &self.pool().slots[slot.get()];
        let before = words.tenure();
        if before.is_some() != tenure.is_some() && !self.is_idle(slot) {
            return false;
        }
        words.set_tenure(tenure);
        if before == Some(Tenure::Home) && tenure == Some(Tenure::Floating) {
            // Its holder has the kernel look at a nearer time.
            self.summon_all();
        }
        true
    }

    /// Says until when the slots of `tenure` are used. It holds when this supervisor is dead or stopped: workers look at the clock
    /// themselves, and the kernel does for a worker that is stopped.
    pub fn set_deadlines(&self, tenure: Tenure, deadlines: Deadlines) {
        let words = self.terms().tenure(tenure);
        let before = words.read();
        words.set(deadlines);
        // A deadline that moves away is found by whoever looks at the old one.
        if deadlines.cut_at < before.cut_at || deadlines.kill_at < before.kill_at {
            self.summon_all();
        }
        self.let_go();
    }
}
