//! What there is to see of the whole.
//!
//! `Outlook` has the handles and takes a [`Snapshot`]: one walk over the region, the fleet's report and the refresher's
//! ledger. All that is shown is a pure function of it: [`health`], [`status`], [`metrics`].

pub(crate) mod answers;
mod breakers;
mod gateway;
pub mod health;
pub mod metrics;
mod numbers;
mod picture;
pub mod scrapes;
mod served;
pub(crate) mod slow;
pub mod snapshot;
pub mod status;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tpp::{
    clock::unix_seconds,
    control::{GatewayStatus, PoolTally, Slow, TimesTally, TokenStatus, Took, WorkerStatus},
    lending::Stock,
    plan::Plan,
    shared::{Histogram, HostTotals, Latency, LatencyCounts},
};

use crate::{
    acme::Acme,
    desired::{Desired, State},
    fleet::FleetReport,
    front::FrontDoor,
    hosts::Hosts,
    in_force::InForce,
    plans::Plans,
    pools::Running,
    refresh,
    succession::history,
    system::logging::Log,
};

use answers::Answers;
pub(crate) use numbers::pool_summary;
use numbers::worker;
use scrapes::Scrapes;
use snapshot::{Details, Identity, Numbers, Snapshot};

/// Of the supervisor's one thread, what looking at details may take: one part in so many, however often it is asked.
const SHARE: u32 = 20;
/// Details older than this are looked at anew whatever that costs.
const OLDEST: Duration = Duration::from_millis(250);

/// When the supervisor began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    pub(crate) at: Instant,
    pub(crate) unix_seconds: u64,
}

impl Started {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            unix_seconds: unix_seconds(),
        }
    }
}

/// The handles by which all is seen.
pub(crate) struct Outlook {
    pub(crate) stock: Arc<Stock>,
    pub(crate) fleet: Arc<Mutex<FleetReport>>,
    pub(crate) plans: Arc<Plans>,
    pub(crate) desired: Arc<Desired>,
    pub(crate) front: Arc<FrontDoor>,
    pub(crate) acme: Arc<Acme>,
    pub(crate) in_force: Arc<InForce>,
    pub(crate) health_listen: String,
    pub(crate) api_listen: Option<String>,
    pub(crate) config_file: PathBuf,
    pub(crate) started: Started,
    pub(crate) log: Log,
    /// The details as they were last looked at.
    pub(crate) seen: Mutex<Option<Seen>>,
    pub(crate) scrapes: Scrapes,
    /// How backends have answered lately.
    pub(crate) answers: Answers,
    /// Other hosts before the same servers; `None`: this one is alone.
    pub(crate) hosts: Option<Arc<Hosts>>,
}

/// Details, and until when they are good enough.
pub(crate) struct Seen {
    details: Arc<Details>,
    until: Instant,
}

impl Outlook {
    /// The whole, as it is now: for whoever may order as well as ask.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let gateway = self.gateway(&self.desired.state());
        Snapshot {
            slow: slow::slow(&self.plans.pools().all(), &gateway.backends),
            gateway,
            ..self.numbers_with(Arc::new(self.look()))
        }
    }

    /// The same for anybody who asks: its numbers are of now, its details at most [`OLDEST`], so that no crowd of askers
    /// takes the supervisor's thread from its work. Of hosts and backends, which may be thousands, it tells nothing.
    pub(crate) fn glance(&self) -> Snapshot {
        let now = Instant::now();
        let seen = self.seen();
        let known = seen.as_ref().filter(|seen| now < seen.until);
        let known = known.map(|seen| Arc::clone(&seen.details));
        drop(seen);
        let details = known.unwrap_or_else(|| {
            let details = Arc::new(self.look());
            let until = good_until(now, Instant::now());
            *self.seen() = Some(Seen {
                details: Arc::clone(&details),
                until,
            });
            details
        });
        self.numbers_with(details)
    }

    /// Each slot.
    pub(crate) fn tokens(&self) -> Vec<TokenStatus> {
        let pools = self.plans.pools().all();
        let pools = pools.iter();
        pools
            .flat_map(|(name, pool)| pool_tokens(name, pool))
            .collect()
    }

    /// What each pool has done.
    pub(crate) fn tallies(&self) -> Vec<PoolTally> {
        let pools = self.plans.pools().all();
        tallies(&pools)
    }

    /// How long waits for a token took, answers of each host, and each backend: of what there was any of.
    pub(crate) fn times(&self) -> Vec<TimesTally> {
        let plan = self.plans.in_force();
        let waits = self.stock.totals().acquisition_wait;
        let bounds = &Histogram::BOUNDS;
        let waits = TimesTally::of(Took::Wait, bounds, &waits.buckets, waits.sum_micros);
        let of = |took, counts: LatencyCounts| {
            TimesTally::of(took, &Latency::BOUNDS, &counts.buckets, counts.sum_micros)
        };
        let hosts = self.hosts(&plan).into_iter();
        let hosts = hosts.map(|(proxy, totals)| of(Took::Answer { proxy }, totals.duration));
        let pairs = self.pairs(&plan).into_iter();
        let pairs =
            pairs.map(|(proxy, backend, counts)| of(Took::Backend { proxy, backend }, counts));
        let all = std::iter::once(waits).chain(hosts).chain(pairs);
        all.filter(|one| one.count() > 0).collect()
    }

    /// Each worker.
    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        let report = self.fleet();
        let workers = report.workers.iter();
        workers.map(|one| worker(&self.stock, one)).collect()
    }

    /// Whether tpp was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.fleet().stopping
    }

    /// Pools, backends and hosts, as they are now.
    pub(crate) fn gateway(&self, state: &State) -> GatewayStatus {
        let (plan, checks) = (self.plans.in_force(), self.plans.checks().seen());
        let met = self.plans.met();
        let answers = self.answers.lately(
            Instant::now(),
            &self.answer_counts(),
            self.started.at.elapsed(),
        );
        let seeing = gateway::Seeing {
            state,
            plan: &plan,
            checks: &checks,
            met: &met,
            answers: &answers,
            stock: &self.stock,
        };
        gateway::gateway(&seeing, &self.plans.pools().all())
    }

    /// What was counted of each backend's answers, over all hosts.
    fn answer_counts(&self) -> BTreeMap<String, LatencyCounts> {
        let mut all: BTreeMap<String, LatencyCounts> = BTreeMap::new();
        for (_, backend, counts) in self.pairs(&self.plans.in_force()) {
            let sums = all.entry(backend).or_default();
            let buckets = sums.buckets.iter_mut().zip(counts.buckets);
            buckets.for_each(|(sum, count)| *sum += count);
            sums.sum_micros += counts.sum_micros;
        }
        all
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fleet(&self) -> MutexGuard<'_, FleetReport> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What costs a walk over accounts, or text.
    fn look(&self) -> Details {
        let workers = self.workers();
        let (wanted, put_off, stopping) = {
            let report = self.fleet();
            (report.wanted, report.put_off.clone(), report.stopping)
        };
        let mut configured_tokens = 0;
        let mut refused_users = BTreeSet::new();
        let checks = self.plans.checks().seen();
        let pools = self.plans.pools().all();
        for pool in pools.values() {
            let ledger = pool.refresher.ledger();
            configured_tokens += ledger.configured();
            refused_users.extend(tokens::refused_users(&pool.stock, &ledger));
        }
        let configured = self.in_force.now();
        let upstream = &configured.config.upstream;
        let listeners = configured.listeners.iter();
        let plan = self.plans.in_force();
        Details {
            workers_wanted: wanted,
            workers,
            put_off,
            stopping,
            configured_tokens,
            refused_users: refused_users.into_iter().collect(),
            listen: listeners.map(|one| one.bound.to_string()).collect(),
            certificates: [self.front.certificates(), self.acme.certificates()].concat(),
            orders: self.acme.orders(),
            upstream: format!("{}:{}", upstream.host, upstream.port),
            upstream_addresses: self.upstream_addresses(),
            unserved: served::unserved(&plan, &self.plans.serving()),
            checks,
            met: self.plans.met(),
            hosts: self.hosts(&plan),
            pairs: self.pairs(&plan),
            breakers: breakers::each(&plan, &self.stock),
            config_generation: configured.generation,
            config_loaded_at: configured.loaded_at,
            last_reload: configured.last_reload.clone(),
            history: history::read(&self.stock),
            identity: Identity {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                health_listen: self.health_listen.clone(),
                api_listen: self.api_listen.clone(),
                config_file: self.config_file.display().to_string(),
                pid: std::process::id(),
                started_at: self.started.unix_seconds,
            },
        }
    }

    /// What was counted of each virtual host of `plan`.
    fn hosts(&self, plan: &Plan) -> BTreeMap<String, HostTotals> {
        let hosts = plan.hosts.iter().filter(|_| plan.counts_hosts());
        hosts
            .map(|host| (host.host.domain.clone(), self.stock.host_totals(host.row)))
            .collect()
    }

    /// How long backends took, of each host and backend of `plan` that were used together.
    fn pairs(&self, plan: &Plan) -> Vec<(String, String, LatencyCounts)> {
        let pairs = plan
            .hosts
            .iter()
            .flat_map(|host| host.pairs.iter().map(move |pair| (host, pair)));
        let seen = pairs.filter_map(|(host, pair)| {
            let durations = self.stock.pair_durations(pair.row);
            let backend = plan.backends.get(pair.backend)?;
            let is_used = durations.buckets.iter().any(|count| *count > 0);
            is_used.then(|| (host.host.domain.clone(), backend.id.clone(), durations))
        });
        seen.collect()
    }

    /// Where the backends are, each address once.
    fn upstream_addresses(&self) -> Vec<SocketAddr> {
        let plan = self.plans.in_force();
        let places = plan.backends.iter().flat_map(|one| &one.places);
        let addresses: BTreeSet<_> = places.map(|place| place.address).collect();
        addresses.into_iter().collect()
    }

    /// Adds what is read from a few words of the region, and so may be read as often as anybody likes.
    fn numbers_with(&self, details: Arc<Details>) -> Snapshot {
        let region = self.stock.region();
        let totals = self.stock.totals();
        let running = self.plans.pools().all();
        let done = tallies(&running);
        let each = numbers::each(&running);
        let paused = each.iter().filter(|(_, pool)| pool.paused);
        let paused: Vec<_> = paused.map(|(name, _)| name.clone()).collect();
        let pools: Vec<_> = running.into_values().map(|pool| pool.stock).collect();
        Snapshot {
            details,
            gateway: GatewayStatus::default(),
            slow: Slow::default(),
            hosts: self
                .hosts
                .as_ref()
                .map(|hosts| (hosts.status(), hosts.counts())),
            numbers: Numbers {
                pool: numbers::pool_status(pools.iter().map(|pool| &**pool)),
                all_refused: numbers::all_refused(&pools),
                longest_wait: numbers::longest_wait(&pools),
                idle_leases: pools.iter().map(|pool| pool.idle_leases()).sum(),
                log_lines_dropped: totals.log_lines_dropped + self.log.dropped(),
                access_log_dropped: totals.access_log_dropped,
                totals,
                pools: done,
                all_paused: !each.is_empty() && paused.len() == each.len(),
                paused,
                each,
                exports: numbers::exports(&self.stock),
                refreshes: numbers::refreshes(region.supervisors()),
                worker_restarts: region.supervisors().worker_restarts.get(),
                uptime: self.started.at.elapsed(),
            },
        }
    }
}

/// Each slot of the pool called `name`.
pub(crate) fn pool_tokens(name: &str, pool: &Running) -> Vec<TokenStatus> {
    tokens::each(name, pool, refresh::now())
}

/// What each of `pools` has done, as far as it is counted.
fn tallies(pools: &BTreeMap<String, Running>) -> Vec<PoolTally> {
    let counted = pools.iter().filter_map(|(name, pool)| {
        let counts = pool.stock.counts()?;
        Some(PoolTally::of(name, pool.provider(), &counts))
    });
    counted.collect()
}

/// Until when details are good enough that took from `began` to `ended` to look at.
fn good_until(began: Instant, ended: Instant) -> Instant {
    ended + (ended.saturating_duration_since(began) * SHARE).min(OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_takes_a_twentieth_of_the_thread_and_is_never_old() {
        let began = Instant::now();
        let after = |took: Duration| good_until(began, began + took) - (began + took);
        assert_eq!(after(Duration::ZERO), Duration::ZERO);
        assert_eq!(after(Duration::from_millis(1)), Duration::from_millis(20));
        assert_eq!(after(Duration::from_millis(100)), OLDEST);
    }
}
