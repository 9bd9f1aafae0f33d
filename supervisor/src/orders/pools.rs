//! What can be seen of the pools, and done to them.

use tpp::{
    control::{PoolDetails, PoolSummary},
    ids::SlotIndex,
};

use super::Orders;
use crate::{
    outlook::{pool_summary, pool_tokens},
    pools::Running,
};

/// Why nothing is done to a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolRefusal {
    #[error("there is no pool {0:?}")]
    Unknown(String),
    #[error("pool {pool:?} has no slot {slot}")]
    NoSlot { pool: String, slot: u32 },
    #[error("nobody holds slot {slot} of pool {pool:?}")]
    NotHeld { pool: String, slot: u32 },
    #[error("no account of pool {pool:?} has the user name {user:?}")]
    NoUser { pool: String, user: String },
}

impl Orders {
    /// Each pool.
    pub(crate) fn list_pools(&self) -> Vec<PoolSummary> {
        let pools = self.pools.all();
        pools
            .iter()
            .map(|(name, pool)| summary(name, pool))
            .collect()
    }

    /// One pool with its slots.
    ///
    /// # Errors
    /// If there is no such pool.
    pub(crate) fn show_pool(&self, name: &str) -> Result<PoolDetails, PoolRefusal> {
        let pool = self.find_pool(name)?;
        Ok(PoolDetails {
            summary: summary(name, &pool),
            tokens: pool_tokens(&pool),
        })
    }

    /// Logs in anew for `user`, or for all; returns for how many slots.
    ///
    /// # Errors
    /// If there is no such pool, or user.
    pub(crate) async fn refresh_pool(
        &self,
        name: &str,
        user: Option<String>,
    ) -> Result<usize, PoolRefusal> {
        let pool = self.find_pool(name)?;
        match (pool.refresher.renew(user.clone()).await, user) {
            (0, Some(user)) => Err(PoolRefusal::NoUser {
                pool: name.to_owned(),
                user,
            }),
            (slots, _) => Ok(slots),
        }
    }

    /// Lends nothing of it until it is resumed; who waits keeps the place.
    ///
    /// # Errors
    /// If there is no such pool.
    pub(crate) fn pause_pool(&self, name: &str) -> Result<(), PoolRefusal> {
        self.find_pool(name)?.stock.pause();
        Ok(())
    }

    /// Lends again.
    ///
    /// # Errors
    /// If there is no such pool.
    pub(crate) fn resume_pool(&self, name: &str) -> Result<(), PoolRefusal> {
        self.find_pool(name)?.stock.resume();
        Ok(())
    }

    /// Has the holder of a slot cut off.
    ///
    /// # Errors
    /// If there is no such pool or slot, or nobody holds it.
    pub(crate) fn end_lease(&self, name: &str, slot: u32) -> Result<(), PoolRefusal> {
        let stock = self.find_pool(name)?.stock;
        let pool = name.to_owned();
        let index = slot as usize;
        if index >= stock.pool().slots.len() {
            return Err(PoolRefusal::NoSlot { pool, slot });
        }
        if stock.end_lease(SlotIndex::new(index)) {
            Ok(())
        } else {
            Err(PoolRefusal::NotHeld { pool, slot })
        }
    }

    fn find_pool(&self, name: &str) -> Result<Running, PoolRefusal> {
        let pool = self.pools.all().remove(name);
        pool.ok_or_else(|| PoolRefusal::Unknown(name.to_owned()))
    }
}

fn summary(name: &str, pool: &Running) -> PoolSummary {
    let configured = pool.refresher.ledger().configured();
    pool_summary(name, &pool.stock, configured)
}
