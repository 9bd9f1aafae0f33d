//! The plans that tell the workers all they act on, one after another, and what they are made of: what is wanted, where names lead,
//! who is healthy.
//!
//! Names are resolved here (`names`), never on a request's path. What changes by itself, addresses and health, makes a new plan
//! (`keeper`); what is ordered to change, too ([`Turn`]).

mod compile;
mod ejector;
mod groups;
mod keeper;
mod names;
mod pairs;
mod spread;
mod targets;
mod turn;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio::sync::watch;
use tpp::{
    config::{Config, Gateway, Pool, Upstream},
    lending::{Permits, Stock},
    plan::{Plan, Sealed},
};

use crate::{
    fleet::FleetHandle,
    health::{Begin, Checks, Health},
    pools::{self, Pools, Wanted, sharing::Sharing, upstream_of},
    provider::SetupError,
    refresh::{Server, Setup},
};

use compile::{Given, compile, limits, row_keys, sources};
pub(crate) use compile::{Inputs, Name};
pub(crate) use keeper::keep;
pub(crate) use names::known;
pub use turn::Reached;
pub(crate) use turn::{Turn, inputs_for};

/// The plans of this supervisor.
#[derive(Debug)]
pub(crate) struct Plans {
    stock: Arc<Stock>,
    fleet: FleetHandle,
    checks: Checks,
    pools: Arc<Pools>,
    permits: Mutex<Permits>,
    current: tokio::sync::Mutex<Inputs>,
    in_force: Mutex<Arc<Plan>>,
    /// Changes with each plan.
    changes: watch::Sender<()>,
}

/// A plan that can be put in force.
#[derive(Debug)]
pub(crate) struct Prepared {
    sealed: Sealed,
    plan: Plan,
    inputs: Inputs,
    pools: pools::Prepared,
}

impl Plans {
    /// Makes the first plan of a supervisor, and begins with its pools: tokens of other servers are out of use before the workers are
    /// told where these are. The fleet puts it in force when it begins. What `predecessor`'s plan says of health holds until checks say
    /// otherwise.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn first(
        (stock, fleet, pools): (Arc<Stock>, FleetHandle, Arc<Pools>),
        inputs: Inputs,
        predecessor: Option<&Plan>,
    ) -> anyhow::Result<(Self, Sealed)> {
        let checks = Checks::default();
        checks.replace(targets::targets(&inputs), |id| inherited(predecessor, id));
        let mut permits = Permits::new(&stock);
        let prepared = prepare(&stock, &checks, &pools, &mut permits, inputs);
        let Prepared {
            sealed,
            plan,
            inputs,
            pools: of_plan,
        } = prepared
            .map_err(anyhow::Error::msg)
            .context("make a plan")?;
        pools.begin(of_plan)?;
        ejector::note_coming(&stock, predecessor, &plan);
        let plans = Self {
            stock,
            fleet,
            checks,
            pools,
            permits: Mutex::new(permits),
            current: tokio::sync::Mutex::new(inputs),
            in_force: Mutex::new(Arc::new(plan)),
            changes: watch::Sender::new(()),
        };
        Ok((plans, sealed))
    }

    /// The plan in force.
    pub(crate) fn in_force(&self) -> Arc<Plan> {
        let plan = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&plan)
    }

    fn note(&self, plan: Plan) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    fn permits(&self) -> MutexGuard<'_, Permits> {
        // A panic under this lock leaves limits as they were.
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what no plan has any more. To be called every now and then.
    fn tidy(&self) {
        self.pools.tidy();
        self.permits().tidy();
    }

    /// The checks of its backends.
    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Its pools.
    pub(crate) fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }

    /// Waits until nobody else changes the plan.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn::new(self, self.current.lock().await)
    }

    /// Sends what the plan in force says once more, and returns when every worker that responds acts on it, or has taken too long: what
    /// was sent to workers before, they have taken then.
    ///
    /// # Errors
    /// If no plan can be made.
    pub(crate) async fn restate(&self) -> Result<Reached, String> {
        let turn = self.turn().await;
        let prepared = turn.prepare(turn.inputs().clone()).await?;
        turn.publish(prepared).await
    }

    /// Seats of workers that are ready, respond, and do not act on the plan of `generation`, or a later one.
    pub(crate) fn lagging(&self, generation: u64) -> Vec<usize> {
        self.stock.seats_behind(generation)
    }
}

/// What a predecessor knew of a backend. When nobody knew any, all are taken to be up, or nothing could be served at first.
fn inherited(predecessor: Option<&Plan>, id: &str) -> Begin {
    let Some(plan) = predecessor else {
        return Begin::Assumed;
    };
    let before = plan.backends.iter().find(|one| one.id == id);
    before.map_or(Begin::Unproved, |one| {
        let health = if one.is_healthy {
            Health::Up
        } else {
            Health::Down
        };
        Begin::Inherited(health)
    })
}

fn prepare(
    stock: &Stock,
    checks: &Checks,
    pools: &Pools,
    permits: &mut Permits,
    inputs: Inputs,
) -> Result<Prepared, String> {
    let is_healthy = |id: &str| is_healthy(checks, id);
    let pools = pools.prepare(wanted(&inputs, is_healthy))?;
    let generation = stock.next_plan_generation();
    let keys = row_keys(&inputs.gateway);
    let rows = stock.give_rows(generation, &keys);
    let rows = rows.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
    let limits = limits(&inputs.gateway);
    let bounded = permits.assign(&limits, generation);
    let bounded = bounded.map_err(|error| error.to_string())?;
    let given = Given {
        pools: pools.ids(),
        permits: limits.iter().map(|(key, _)| *key).zip(bounded).collect(),
        rows,
    };
    let plan = compile(generation, &inputs, &given, is_healthy);
    Ok(Prepared {
        sealed: Sealed::of(&plan).map_err(|error| error.to_string())?,
        plan,
        inputs,
        pools,
    })
}

/// Prepares the logins of `config` for nothing but to know that it can be done.
///
/// # Errors
/// If not.
pub(crate) fn check_logins(config: &Config) -> Result<(), SetupError> {
    let (gateway, nowhere) = (&config.gateway, |_: &Upstream| Vec::new());
    for pool in &gateway.pools {
        let (first, others) = servers(gateway, pool, &config.upstream, nowhere);
        Setup::of(pool, &first, &others)?;
    }
    Ok(())
}

/// Whether what `config` says of other hosts can be done.
///
/// # Errors
/// Why not.
pub fn check_hosts(config: &Config) -> Result<(), String> {
    let Some(hosts) = &config.hosts else {
        return Ok(());
    };
    let (sharing, gateway) = (Sharing::of(hosts), &config.gateway);
    sharing.are_apart(gateway.pools.iter().map(|pool| {
        let first = first_server(gateway, pool, &config.upstream);
        (pool.name.as_str(), upstream_of(pool, &first, &sharing))
    }))
}

/// The server where `pool` logs in first; `otherwise`, if it has no backend.
pub(crate) fn first_server(gateway: &Gateway, pool: &Pool, otherwise: &Upstream) -> Upstream {
    servers(gateway, pool, otherwise, |_| Vec::new()).0.upstream
}

/// The servers of `pool`'s backends; `otherwise` alone, if it has none.
fn servers(
    gateway: &Gateway,
    pool: &Pool,
    otherwise: &Upstream,
    addresses: impl Fn(&Upstream) -> Vec<SocketAddr>,
) -> (Server, Vec<Server>) {
    let server = |upstream: &Upstream| Server {
        upstream: upstream.clone(),
        addresses: addresses(upstream),
    };
    let backends = gateway.backends.iter();
    let mut own = backends
        .filter(|one| one.pool.as_ref() == Some(&pool.name))
        .map(|one| server(&one.upstream));
    let first = own.next().unwrap_or_else(|| server(otherwise));
    (first, own.collect())
}

/// The pools of `inputs`.
fn wanted(inputs: &Inputs, is_healthy: impl Fn(&str) -> bool + Copy) -> Vec<Wanted> {
    let gateway = &inputs.gateway;
    let addresses = |upstream: &Upstream| inputs.addresses_of(upstream).to_vec();
    let wanted = gateway.pools.iter().map(|pool| Wanted {
        pool: pool.clone(),
        servers: servers(gateway, pool, &inputs.settings.upstream, addresses),
        places: sources(inputs, &pool.name, is_healthy),
    });
    wanted.collect()
}

/// Whether a backend can serve, as far as anybody knows.
fn is_healthy(checks: &Checks, id: &str) -> bool {
    checks.health(id) != Some(Health::Down)
}
