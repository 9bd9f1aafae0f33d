//! The concurrency limits of a plan, each a pool of permits found by its key.

use std::collections::{HashMap, HashSet};

use crate::{
    ids::PoolId,
    region::{PoolGeometry, RegionError},
};

use super::stock::Stock;

/// Least room of a limit: it can be raised so far without another pool.
const LEAST_ROOM: usize = 128;

/// The supervisor's access to all limits of a region.
#[derive(Debug)]
pub struct Permits {
    stock: Stock,
    /// What the plan wants: how many permits, by key.
    wanted: HashMap<u64, usize>,
    /// Pools that no plan has from the one with this number on.
    gone: HashMap<PoolId, u64>,
}

impl Permits {
    /// Of the region of `stock`.
    #[must_use]
    pub fn new(stock: &Stock) -> Self {
        Self {
            stock: stock.at(*stock.region().default_pool()),
            wanted: HashMap::new(),
            gone: HashMap::new(),
        }
    }

    /// Has each key of `wanted` that many permits, at least one, under plan `generation`, and returns their pools, in the same
    /// order. A number takes effect at once: what is above a lower one ends with its holder. Limits of no key are gone from
    /// that plan on.
    ///
    /// # Errors
    /// If the region has no room; what was in force is as it was.
    pub fn assign(
        &mut self,
        wanted: &[(u64, usize)],
        generation: u64,
    ) -> Result<Vec<PoolId>, RegionError> {
        let mut pools = Vec::new();
        for (key, permits) in wanted {
            pools.push(self.pool_for(*key, *permits)?);
        }
        self.wanted = wanted.iter().copied().collect();
        let kept: HashSet<_> = pools.iter().copied().collect();
        self.gone.retain(|pool, _| !kept.contains(pool));
        for limit in self.limits() {
            if !kept.contains(&limit.pool_id()) {
                self.gone.entry(limit.pool_id()).or_insert(generation);
            }
        }
        self.set_all();
        Ok(pools)
    }

    /// Takes limits away that nobody uses any more. To be called every now and then.
    pub fn tidy(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        for (pool, generation) in gone {
            let is_idle = self.stock.open(pool).is_none_or(|limit| {
                let census = limit.pool().census();
                (census.in_use, census.waiting) == (0, 0)
            });
            // Memory that cannot be given back is tried again.
            let is_removed = self.stock.is_plan_shown(generation)
                && is_idle
                && self.stock.remove_pool(pool, generation).unwrap_or(false);
            if !is_removed {
                self.gone.insert(pool, generation);
            }
        }
        self.set_all();
    }

    fn limits(&self) -> Vec<Stock> {
        let mut pools = self.stock.pools();
        pools.retain(|pool| pool.parts().geometry().token_bytes == 0);
        pools
    }

    /// The largest pool of `key`, if it is large enough, or else a new one.
    fn pool_for(&self, key: u64, permits: usize) -> Result<PoolId, RegionError> {
        let room = |limit: &Stock| limit.parts().geometry().slots;
        let largest = self
            .limits()
            .into_iter()
            .filter(|limit| limit.parts().key() == key)
            .max_by_key(room);
        if let Some(limit) = largest.filter(|limit| room(limit) >= permits) {
            return Ok(limit.pool_id());
        }
        let slots = permits.next_power_of_two().max(LEAST_ROOM);
        let limit = self.stock.add_pool(key, PoolGeometry::of_permits(slots))?;
        Ok(limit.pool_id())
    }

    /// Has as many permits lent as are wanted. One that has got a larger pool keeps those of the smaller one, and has only the rest
    /// in the new one, until nobody uses the old one any more.
    fn set_all(&self) {
        let mut kept: HashMap<u64, Stock> = HashMap::new();
        let mut old: HashMap<u64, usize> = HashMap::new();
        for limit in self.limits() {
            if self.gone.contains_key(&limit.pool_id()) {
                let usable = limit.pool().census().usable;
                *old.entry(limit.parts().key()).or_default() +=
                    usize::try_from(usable).unwrap_or(0);
            } else {
                kept.insert(limit.parts().key(), limit);
            }
        }
        for (key, permits) in &self.wanted {
            if let Some(limit) = kept.get(key) {
                let elsewhere = old.get(key).copied().unwrap_or(0);
                limit.set_permits(permits.saturating_sub(elsewhere));
            }
        }
    }
}
