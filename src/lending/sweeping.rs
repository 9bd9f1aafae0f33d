//! Mending what stopped or dead processes left half done: every now and then, a part of the pools at a time.

use crate::{clock::boot_millis, pool::Slot, region::PoolParts};

use super::{desk::unpoisoned, offers::OpenOffers, stock::Stock};

impl Stock {
    /// Mends what stopped or dead processes left half done, in every pool. To be called every now and then; an offer that is
    /// open at two looks in a row was forgotten by its maker. Harmless at any time.
    pub fn sweep(&self) {
        self.sweep_some(usize::MAX);
    }

    /// The same of as many pools as have `most` slots together, or of one: the next call goes on with those that follow.
    pub fn sweep_some(&self, most: usize) {
        let mut sweeps = unpoisoned(&self.sweeps);
        let pools = self.region.pools();
        sweeps
            .open
            .retain(|&id, _| pools.binary_search_by_key(&id, PoolParts::id).is_ok());
        let begin = pools.partition_point(|parts| parts.id().get() < sweeps.next);
        let mut swept = 0;
        for parts in pools[begin..].iter().chain(&pools[..begin]) {
            if swept >= most {
                sweeps.next = parts.id().get();
                return;
            }
            swept += self.sweep_one(parts, &mut sweeps.open);
        }
    }

    /// Returns how many slots there are.
    fn sweep_one(&self, parts: &PoolParts, open: &mut OpenOffers) -> usize {
        let (id, pool) = (parts.id(), self.region.pool_at(parts));
        // A pause, or its end, of a supervisor that died half-way; a worker that held back what has more time meanwhile.
        let terms = self.region.terms_at(parts);
        pool.settle_holds(|slot: &Slot| terms.may_lend(slot.tenure(), boot_millis));
        // Tickets are never used twice in a pool: the same word is the same offer.
        let seen = open.remove(&id).unwrap_or_default();
        let found = pool.sweep_offers(&*self.bells, |slot, word| seen.contains(&(slot, word)));
        if !found.is_empty() {
            open.insert(id, found.into_iter().collect());
        }
        pool.slots.len()
    }
}
