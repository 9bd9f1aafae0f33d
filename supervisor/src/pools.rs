//! The pools of tokens: each has its place in the region and its refresher. They come and go with the configuration.

pub(crate) mod sharing;
mod wanted;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tpp::{
    config::{Credential, DEFAULT_POOL, Pool},
    hash::{HASH_BEGIN, hash_on},
    ids::PoolId,
    lending::Stock,
    region::PoolGeometry,
};
use tracing::{info, warn};

use self::sharing::Sharing;
pub(crate) use self::wanted::{Wanted, upstream_of};
use crate::refresh::{RefreshHandle, Refresher, Setup};

/// Least room for slots of a pool: more accounts can come without another one.
const LEAST_SLOTS: usize = 512;

/// A pool at work.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) stock: Arc<Stock>,
    pub(crate) refresher: RefreshHandle,
    of: Wanted,
    task: AbortHandle,
}

impl Running {
    /// How it gets its tokens, as `provider` names it.
    pub(crate) fn provider(&self) -> &'static str {
        self.of.pool.provider.word()
    }

    /// Whose its accounts are, in the eyes of other hosts.
    pub(crate) fn upstream(&self, sharing: &Sharing) -> tpp_hosts::Upstream {
        self.of.upstream(sharing)
    }

    /// Whether `other` is it, configured as it is.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stock, &other.stock) && self.of.pool == other.of.pool
    }

    /// How long a token is good for, as it is configured.
    pub(crate) fn token_life(&self) -> Duration {
        self.of.pool.token.ttl
    }

    /// Whether it was let go, its sessions are ended, and nobody holds anything of it.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished() && self.stock.pool().census().in_use == 0
    }

    /// Its accounts.
    pub(crate) fn accounts(&self) -> &[Credential] {
        &self.of.pool.credentials
    }
}

/// The pools of this supervisor.
pub(crate) struct Pools {
    /// The region's own pool, and the way to all others.
    stock: Arc<Stock>,
    bell: watch::Receiver<()>,
    /// Their accounts are shared with other hosts.
    sharing: Option<Sharing>,
    running: Mutex<BTreeMap<String, Running>>,
    /// Those that were let go and whose sessions are being ended.
    leaving: Mutex<Vec<Running>>,
    /// Those that no plan has from the one with this number on.
    gone: Mutex<BTreeMap<PoolId, u64>>,
}

/// A change of pools of which nothing can fail any more but for want of room.
#[derive(Debug)]
pub(crate) struct Prepared {
    pools: Vec<(Wanted, Setup, Arc<Stock>)>,
}

impl Prepared {
    /// Where each pool lies.
    pub(crate) fn ids(&self) -> BTreeMap<String, PoolId> {
        let pools = self.pools.iter();
        pools
            .map(|(wanted, _, stock)| (wanted.pool.name.clone(), stock.pool_id()))
            .collect()
    }
}

impl Pools {
    /// None yet; `bell` changes whenever a worker rang.
    pub(crate) fn new(
        stock: Arc<Stock>,
        bell: watch::Receiver<()>,
        sharing: Option<Sharing>,
    ) -> Self {
        Self {
            stock,
            bell,
            sharing,
            running: Mutex::default(),
            leaving: Mutex::default(),
            gone: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        // Nothing that holds the guard can panic half-way through a change.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> MutexGuard<'_, BTreeMap<PoolId, u64>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose sessions are being ended still.
    fn leaving(&self) -> MutexGuard<'_, Vec<Running>> {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|one| !one.task.is_finished());
        leaving
    }

    /// The pools at work, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, Running> {
        self.running().clone()
    }

    /// Prepares all that can fail of having these pools.
    ///
    /// # Errors
    /// If logins cannot be prepared, or there is no room.
    pub(crate) fn prepare(&self, wanted: Vec<Wanted>) -> Result<Prepared, String> {
        if let Some(sharing) = &self.sharing {
            self.check_sharing(sharing, &wanted)?;
        }
        let pool = |wanted: Wanted| {
            let said = |error: anyhow::Error| format!("pool {}: {error:#}", wanted.pool.name);
            let setup = wanted.setup().map_err(|error| said(error.into()))?;
            let stock = self.place_of(&wanted.pool).map_err(said)?;
            Ok((wanted, setup, stock))
        };
        let pools = wanted.into_iter().map(pool);
        Ok(Prepared {
            pools: pools.collect::<Result<_, String>>()?,
        })
    }

    /// Whether hosts can share the accounts of pools like these.
    fn check_sharing(&self, sharing: &Sharing, wanted: &[Wanted]) -> Result<(), String> {
        let pools = wanted.iter();
        let pools = pools.map(|one| (one.pool.name.as_str(), one.upstream(sharing)));
        sharing.are_apart(pools)?;
        let running = self.running();
        for one in wanted {
            let before = running.get(&one.pool.name);
            if before.is_some_and(|before| before.upstream(sharing) != one.upstream(sharing)) {
                let name = &one.pool.name;
                return Err(format!(
                    "[hosts]: the accounts of pool {name} would be another server's: restart tpp, or say hosts.upstream_id if it is the same"
                ));
            }
        }
        Ok(())
    }

    /// Where `pool` lies: where it did, or where a predecessor had it, or in a new place.
    fn place_of(&self, pool: &Pool) -> anyhow::Result<Arc<Stock>> {
        if let Some(running) = self.running().get(&pool.name) {
            return Ok(Arc::clone(&running.stock));
        }
        if pool.name == DEFAULT_POOL {
            return Ok(Arc::clone(&self.stock));
        }
        let key = key(&pool.name);
        let sessions: usize = pool.credentials.iter().map(|one| one.sessions).sum();
        let token_bytes = pool.token.max_token_bytes;
        let region = self.stock.region();
        let before = region.pools().into_iter().find(|parts| {
            let geometry = parts.geometry();
            parts.key() == key && geometry.slots >= sessions && geometry.token_bytes >= token_bytes
        });
        if let Some(stock) = before.and_then(|parts| self.stock.open(parts.id())) {
            return Ok(Arc::new(stock));
        }
        let slots = (2 * sessions).next_multiple_of(64).max(LEAST_SLOTS);
        let geometry = PoolGeometry::of_tokens(slots, token_bytes);
        Ok(Arc::new(self.stock.add_pool(key, geometry)?))
    }

    /// Begins with these pools, before the first plan is made: tokens of other servers are out of use when this returns.
    ///
    /// # Errors
    /// If a predecessor's pool has no room for them.
    pub(crate) fn begin(&self, prepared: Prepared) -> anyhow::Result<()> {
        for (wanted, setup, stock) in prepared.pools {
            self.start(wanted, setup, stock)?;
        }
        Ok(())
    }

    fn start(&self, of: Wanted, setup: Setup, stock: Arc<Stock>) -> anyhow::Result<()> {
        if stock.pool_id() != PoolId::DEFAULT {
            keep_out_of_swap(&stock, &of.pool);
        }
        let (places, bell) = (of.places.clone(), self.bell.clone());
        let setup = setup.shared(self.sharing.as_ref().map(|sharing| sharing.margin));
        let refresher = Refresher::new(setup, places, Arc::clone(&stock), bell)?;
        let name = of.pool.name.clone();
        self.gone().remove(&stock.pool_id());
        let running = Running {
            stock,
            refresher: refresher.handle(),
            of,
            task: tokio::spawn(refresher.run()).abort_handle(),
        };
        self.running().insert(name, running);
        Ok(())
    }

    /// Goes on with these pools. Tokens that may not be used any more where workers are about to be told of are out of use when this
    /// returns. Those pools that are not among them stay until [`Self::let_go`].
    ///
    /// # Errors
    /// If there is no room for an account's sessions; then all is as it was.
    pub(crate) async fn change(&self, prepared: Prepared) -> Result<(), String> {
        let before = self.all();
        let mut changed = Vec::new();
        for (wanted, setup, stock) in prepared.pools {
            let name = wanted.pool.name.clone();
            let outcome = match before.get(&name) {
                None => self
                    .start(wanted, setup, stock)
                    .map_err(|error| format!("{error:#}")),
                Some(running) => self.adapt(running, wanted, setup).await,
            };
            if let Err(reason) = outcome {
                self.go_back(changed).await;
                return Err(format!("pool {name}: {reason}"));
            }
            changed.push((name.clone(), before.get(&name).cloned()));
        }
        Ok(())
    }

    async fn adapt(&self, running: &Running, wanted: Wanted, setup: Setup) -> Result<(), String> {
        let refresher = &running.refresher;
        let is_same = (&running.of.pool, &running.of.servers) == (&wanted.pool, &wanted.servers);
        if !is_same {
            refresher.reconfigure(setup, wanted.places.clone()).await?;
        } else if running.of.places != wanted.places {
            refresher.relocate(wanted.places.clone()).await;
        }
        if let Some(running) = self.running().get_mut(&wanted.pool.name) {
            running.of = wanted;
        }
        Ok(())
    }

    /// What was in force a moment ago can be in force again.
    async fn go_back(&self, changed: Vec<(String, Option<Running>)>) {
        for (name, before) in changed {
            let Some(before) = before else {
                self.stop(&name).await;
                continue;
            };
            let places = before.of.places.clone();
            if let Ok(setup) = before.of.setup()
                && let Err(reason) = before.refresher.reconfigure(setup, places).await
            {
                warn!(pool = name, reason, "pool does not go back to what it was");
            }
            if let Some(running) = self.running().get_mut(&name) {
                running.of = before.of;
            }
        }
    }

    /// Lets those pools go that are not in `kept`, which plan `generation` has, nor has any later one.
    pub(crate) async fn let_go(&self, kept: &BTreeMap<String, PoolId>, generation: u64) {
        let names: Vec<_> = self.running().keys().cloned().collect();
        for name in names.iter().filter(|name| !kept.contains_key(*name)) {
            info!(pool = name, "pool is gone");
            self.stop(name).await;
        }
        // A predecessor's, too.
        let own = |id: &PoolId| *id == PoolId::DEFAULT || kept.values().any(|kept| kept == id);
        let pools = self.stock.region().pools().into_iter();
        let tokens = pools.filter(|parts| parts.geometry().token_bytes > 0);
        for id in tokens.map(|parts| parts.id()).filter(|id| !own(id)) {
            self.gone().entry(id).or_insert(generation);
        }
        self.tidy();
    }

    /// Nobody renews its tokens any more. Leases go on to their end, and then the sessions are ended.
    async fn stop(&self, name: &str) {
        let running = self.running().remove(name);
        if let Some(running) = running {
            running.refresher.leave().await;
            self.leaving().push(running);
        }
    }

    /// Gives the memory of those pools back that no worker uses any more. To be called every now and then.
    pub(crate) fn tidy(&self) {
        let leaving: Vec<_> = {
            let leaving = self.leaving();
            leaving.iter().map(|one| one.stock.pool_id()).collect()
        };
        self.gone().retain(|id, generation| {
            // Who is about to end its sessions looks who holds its slots.
            if leaving.contains(id) {
                return true;
            }
            let is_idle = self.stock.open(*id).is_none_or(|pool| {
                let census = pool.pool().census();
                (census.in_use, census.waiting) == (0, 0)
            });
            // What cannot be given back now is tried again.
            !is_idle || !self.stock.remove_pool(*id, *generation).unwrap_or(false)
        });
    }

    /// Logs in anew: one user's slots, or all, in every pool; returns how many slots that concerns.
    pub(crate) async fn renew(&self, user: Option<String>) -> usize {
        let mut slots = 0;
        for running in self.all().into_values() {
            slots += running.refresher.renew(user.clone()).await;
        }
        slots
    }

    /// Ends the sessions of all tokens where a server has such a thing, all pools at once, within a few seconds: tpp stops.
    pub(crate) async fn log_out(&self) {
        let left = self.leaving().clone();
        let all = self.all().into_values().chain(left);
        let mut leaving: JoinSet<()> = all
            .map(|running| async move { running.refresher.log_out().await })
            .collect();
        while leaving.join_next().await.is_some() {}
    }

    /// Stops all refreshers: the region may be another supervisor's from here on.
    pub(crate) fn leave(&self) {
        self.running().values().for_each(|one| one.task.abort());
        self.leaving().iter().for_each(|one| one.task.abort());
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.running().keys().cloned().collect();
        f.debug_struct("Pools")
            .field("running", &names)
            .finish_non_exhaustive()
    }
}

/// The region's own pool is kept so from its first moment on.
fn keep_out_of_swap(stock: &Stock, pool: &Pool) {
    let sessions = pool.credentials.iter().map(|one| one.sessions).sum();
    let region = stock.region();
    let Some(parts) = region.find_pool(stock.pool_id()) else {
        return;
    };
    if let Err(error) = region.lock_tokens_at(&parts, sessions) {
        let pool = &pool.name;
        info!(pool, %error, "tokens are not locked in memory: raise the limit (LimitMEMLOCK) to keep them out of swap");
    }
}

/// By which a successor finds the pool again.
fn key(name: &str) -> u64 {
    hash_on(hash_on(HASH_BEGIN, b"pool\0"), name.as_bytes()).max(1)
}
