//! A worker's half of the deadlines under which a host has slots that it shares with other hosts.

use crate::{
    ids::{PoolId, SlotIndex},
    pool::{Holder, Slot},
    shared::Terms,
};

use super::desk::Desk;

/// What a worker holds under deadlines, in all its pools.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// When the kernel is to end it, milliseconds of [`boot_millis`](crate::clock::boot_millis): the nearest of all that it holds; `None`: it holds nothing with
    /// a deadline.
    pub kill_at: Option<u64>,
    /// What may be lent no more: a connection that asks nothing just now is closed.
    pub lapsed: Vec<(PoolId, SlotIndex)>,
    /// Something of it is to be cut off.
    pub is_cut: bool,
}

impl Desk {
    /// Looks at the deadlines of what this worker holds, and holds back whatever nobody may be lent any more. To be called at each
    /// heartbeat, and when the worker is told to look at its leases. Costs a load or two for a pool that is this host's alone.
    /// `now`: milliseconds of [`boot_millis`](crate::clock::boot_millis).
    #[must_use]
    pub fn look_at_deadlines(&self, now: u64) -> Tenancy {
        let mut found = Tenancy::default();
        let desks = self.shared.desks();
        let shared = desks.iter().filter(|desk| desk.terms().is_shared());
        shared.for_each(|desk| desk.look_at_own_deadlines(now, &mut found));
        found
    }

    fn look_at_own_deadlines(&self, now: u64, found: &mut Tenancy) {
        let (pool, terms) = (self.pool(), self.terms());
        pool.hold_back(|slot| has_lapsed(slot, terms, now));
        for (index, slot) in pool.slots.iter().enumerate() {
            let Some(tenure) = slot.tenure().filter(|_| self.has_leased(slot)) else {
                continue;
            };
            let until = terms.tenure(tenure);
            let kill_at = until.kill_at();
            found.kill_at = Some(
                found
                    .kill_at
                    .map_or(kill_at, |nearest| nearest.min(kill_at)),
            );
            found.is_cut |= until.is_cut(now);
            if !until.may_lend(now) {
                found.lapsed.push((self.pool_id(), SlotIndex::new(index)));
            }
        }
    }

    fn has_leased(&self, slot: &Slot) -> bool {
        matches!(slot.word().holder, Holder::Leased { seat, .. } if seat == self.seat)
    }
}

fn has_lapsed(slot: &Slot, terms: &Terms, now: u64) -> bool {
    let tenure = slot.tenure();
    !tenure.is_none_or(|tenure| terms.tenure(tenure).may_lend(now))
}
