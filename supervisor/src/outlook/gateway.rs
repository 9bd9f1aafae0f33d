//! Pools, backends and hosts as they are wanted, with what was found out of them.

use std::collections::BTreeMap;

use tpp::{
    clock::{monotonic_millis, unix_millis},
    config::{Backend, VirtualHost},
    control::{
        AnswerTimes, BackendStatus, BreakerStatus, BreakerWord, DomainStatus, EjectionStatus,
        GatewayStatus, HealthFound, NamedPool,
    },
    lending::Stock,
    limits::Ejection,
    plan::{BackendPlan, HostPlan, Plan},
};

use super::{
    breakers::{OfHost, breakers, worst},
    numbers,
};
use crate::{
    desired::State,
    health::{Health, Met, Seen},
    pools::Running,
};

/// Of what it is made.
pub(super) struct Seeing<'a> {
    pub(super) state: &'a State,
    pub(super) plan: &'a Plan,
    pub(super) checks: &'a BTreeMap<String, Seen>,
    pub(super) met: &'a BTreeMap<String, Met>,
    pub(super) answers: &'a BTreeMap<String, AnswerTimes>,
    pub(super) stock: &'a Stock,
}

/// All of it.
pub(super) fn gateway(seeing: &Seeing<'_>, pools: &BTreeMap<String, Running>) -> GatewayStatus {
    let Seeing { state, plan, .. } = seeing;
    let planned: BTreeMap<_, _> = plan
        .backends
        .iter()
        .map(|one| (one.id.as_str(), one))
        .collect();
    let hosts: BTreeMap<_, _> = plan
        .hosts
        .iter()
        .map(|one| (one.host.domain.as_str(), one))
        .collect();
    let tagged = by_tag(plan);
    let breakers = breakers(plan, seeing.stock);
    let worst = worst(&breakers);
    let rejected = state.rejected.iter();
    let rejected = rejected.map(|one| format!("{}: {}", one.kind, one.reason));
    let backends = state.gateway.backends.iter().map(|one| {
        let breaker = worst.get(&one.id).copied().unwrap_or_default();
        backend(
            seeing,
            one,
            (planned.get(one.id.as_str()).copied(), breaker),
        )
    });
    let domains = state.gateway.virtual_hosts.iter().map(|one| {
        let breakers = breakers.get(one.domain.as_str());
        let planned = hosts.get(one.domain.as_str()).copied();
        domain(seeing, one, &tagged, (planned, breakers))
    });
    GatewayStatus {
        pools: pools.iter().map(pool).collect(),
        backends: backends.collect(),
        domains: domains.collect(),
        set_aside: rejected.chain(state.dropped.iter().cloned()).collect(),
    }
}

fn pool((name, pool): (&String, &Running)) -> NamedPool {
    NamedPool {
        name: name.clone(),
        numbers: numbers::pool_status([&*pool.stock]),
        configured_tokens: pool.refresher.ledger().configured(),
        provider: pool.provider().to_owned(),
    }
}

fn backend(
    seeing: &Seeing<'_>,
    backend: &Backend,
    (planned, breaker): (Option<&BackendPlan>, BreakerStatus),
) -> BackendStatus {
    let state = seeing.state;
    let seen = seeing.checks.get(&backend.id);
    let (in_flight, waiting) = planned.map_or((0, 0), |one| backend_under_way(seeing, one));
    let places = planned.map_or(&[][..], |one| &one.places);
    let found = |seen: &Seen| HealthFound {
        state: match seen.health {
            Health::Up => "up".to_owned(),
            Health::Down => "down".to_owned(),
        },
        since: seen.since,
        last_error: seen.last_error.clone(),
    };
    BackendStatus {
        id: backend.id.clone(),
        address: backend.upstream.authority(),
        addresses: places
            .iter()
            .map(|place| place.address.to_string())
            .collect(),
        tags: backend.tags.clone(),
        pool: backend.pool.clone(),
        weight: backend.weight,
        state: backend.state.word().to_owned(),
        healthy: planned.is_some_and(|one| one.is_healthy),
        health: seen.map(found),
        in_flight,
        waiting,
        breaker,
        ejected: seeing
            .met
            .get(&backend.id)
            .and_then(|met| met.out)
            .map(ejected),
        answers: seeing.answers.get(&backend.id).copied(),
        source: state.source::<Backend>(&backend.id).word().to_owned(),
    }
}

/// An ejection by the clock that people read.
fn ejected(found: Ejection) -> EjectionStatus {
    let (now, today) = (monotonic_millis(), unix_millis());
    let left = found.until.saturating_sub(now);
    let begun = |since: u64| today.saturating_sub(now.saturating_sub(since)) / 1000;
    EjectionStatus {
        since: found.since.map(begun),
        until: today.saturating_add(left) / 1000,
        remaining_seconds: left.div_ceil(1000),
        times: found.times,
        reason: match found.failures {
            0 => "requests failed one after the other".to_owned(),
            failures => format!("{failures} requests in a row failed"),
        },
    }
}

/// The backends of each tag: hosts and backends are many.
fn by_tag(plan: &Plan) -> BTreeMap<&str, Vec<&BackendPlan>> {
    let mut tagged: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for backend in &plan.backends {
        for tag in &backend.tags {
            tagged.entry(tag).or_default().push(backend);
        }
    }
    tagged
}

/// Requests under way to a backend, and those that wait for leave.
fn backend_under_way(seeing: &Seeing<'_>, backend: &BackendPlan) -> (u64, u64) {
    if !seeing.plan.counts_hosts() {
        return (plain_under_way(seeing.stock).0, 0);
    }
    let waiting = backend.permits.map(|pool| seeing.stock.waiting_for(pool));
    let waiting = waiting.unwrap_or(0);
    let chosen = seeing.stock.backend_in_flight(backend.row);
    // Whoever waits for leave to go there has been counted in.
    (chosen.saturating_sub(waiting), waiting)
}

/// The same where nothing is counted: of a plain configuration's requests each has a token or waits for one.
fn plain_under_way(stock: &Stock) -> (u64, u64) {
    let census = stock.pool().census();
    let in_use = census.in_use.saturating_sub(stock.idle_leases());
    (in_use, census.waiting)
}

fn domain(
    seeing: &Seeing<'_>,
    host: &VirtualHost,
    tagged: &BTreeMap<&str, Vec<&BackendPlan>>,
    (planned, breakers): (Option<&HostPlan>, Option<&OfHost>),
) -> DomainStatus {
    let state = seeing.state;
    let (in_flight, waiting) = match planned {
        None => (0, 0),
        Some(_) if !seeing.plan.counts_hosts() => plain_under_way(seeing.stock),
        Some(plan) => seeing.stock.host_under_way(plan.row),
    };
    let of_backends = breakers.map_or(&[][..], |one| &one.backends);
    let tripped = of_backends
        .iter()
        .filter(|(_, status)| status.breaker != BreakerWord::Closed);
    let backends = tagged.get(host.enabled_backends_tag.as_str());
    let backends = backends.map_or(&[][..], Vec::as_slice);
    let is_out = |id: &str| seeing.met.get(id).is_some_and(|met| met.out.is_some());
    DomainStatus {
        domain: host.domain.clone(),
        enabled_backends_tag: host.enabled_backends_tag.clone(),
        healthy_backends: backends
            .iter()
            .filter(|one| one.takes_new() && !is_out(&one.id))
            .count(),
        backends: backends.iter().map(|one| one.id.clone()).collect(),
        in_flight,
        waiting,
        breaker: breakers.map_or_else(BreakerStatus::default, |one| one.own),
        tripped: tripped.cloned().collect(),
        source: state.source::<VirtualHost>(&host.domain).word().to_owned(),
    }
}
