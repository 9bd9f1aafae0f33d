//! What can be seen of the pools, and done to them.

use tpp::{
    config::Provider,
    control::{PoolDetails, PoolSummary},
    ids::SlotIndex,
};

use super::Orders;
use crate::{
    outlook::{pool_summary, pool_tokens},
    pools::Running,
    provider::feishu::take_ticket,
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
    #[error("pool {pool:?} gets its tokens by {provider:?}: an app ticket is for \"feishu\" alone")]
    NoTickets {
        pool: String,
        provider: &'static str,
    },
    #[error("pool {pool:?} has no app {app:?}")]
    NoApp { pool: String, app: String },
    #[error("pool {pool:?} has several apps: app_id says which one the ticket is for")]
    WhichApp { pool: String },
    #[error("{0}")]
    NotKept(String),
    #[error("an app ticket is 1 to 4096 bytes without control characters")]
    NoTicket,
}

impl Orders {
    /// Each pool.
    pub(crate) fn list_pools(&self) -> Vec<PoolSummary> {
        let pools = self.pools.all();
        pools
            .iter()
            .map(|(name, pool)| pool_summary(name, pool))
            .collect()
    }

    /// One pool with its slots.
    ///
    /// # Errors
    /// If there is no such pool.
    pub(crate) fn show_pool(&self, name: &str) -> Result<PoolDetails, PoolRefusal> {
        let pool = self.find_pool(name)?;
        Ok(PoolDetails {
            summary: pool_summary(name, &pool),
            tokens: pool_tokens(name, &pool),
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

    /// Keeps the ticket of a marketplace app, `app` if the pool has several, and has its tokens drawn by it at once; returns for how
    /// many slots.
    ///
    /// # Errors
    /// If there is no such pool or app, the pool is of another provider, or it is no ticket.
    pub(crate) async fn take_ticket(
        &self,
        name: &str,
        app: Option<String>,
        ticket: &str,
    ) -> Result<usize, PoolRefusal> {
        let running = self.find_pool(name)?;
        let pool = name.to_owned();
        if running.provider() != Provider::Feishu.word() {
            let provider = running.provider();
            return Err(PoolRefusal::NoTickets { pool, provider });
        }
        let app = match (app, running.accounts()) {
            (None, [only]) => only.username.clone(),
            (None, _) => return Err(PoolRefusal::WhichApp { pool }),
            (Some(app), known) if known.iter().any(|one| one.username == app) => app,
            (Some(app), _) => return Err(PoolRefusal::NoApp { pool, app }),
        };
        if !take_ticket(&app, ticket) {
            return Err(PoolRefusal::NoTicket);
        }
        Ok(running.refresher.renew(Some(app)).await)
    }

    /// Lends nothing of it until it is resumed, or lends again, as `who` orders; who waits keeps the place.
    ///
    /// # Errors
    /// If there is no such pool, or the order cannot be kept.
    pub(crate) async fn set_paused(
        &self,
        who: &str,
        name: &str,
        is_paused: bool,
    ) -> Result<(), PoolRefusal> {
        let desired = &self.outlook.desired;
        match desired.set_paused(who, name, is_paused).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(PoolRefusal::Unknown(name.to_owned())),
            Err(reason) => Err(PoolRefusal::NotKept(reason)),
        }
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
