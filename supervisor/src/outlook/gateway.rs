//! Pools, backends and hosts as they are wanted, with what was found out of them.

use std::collections::BTreeMap;

use tpp::{
    config::{Backend, VirtualHost},
    control::{BackendStatus, DomainStatus, GatewayStatus, HealthFound, NamedPool},
    plan::{BackendPlan, Plan},
};

use super::numbers;
use crate::{
    desired::State,
    health::{Health, Seen},
    pools::Running,
};

/// All of it, of `state` as `plan` has it.
pub(super) fn gateway(
    state: &State,
    plan: &Plan,
    checks: &BTreeMap<String, Seen>,
    pools: &BTreeMap<String, Running>,
) -> GatewayStatus {
    let planned: BTreeMap<_, _> = plan
        .backends
        .iter()
        .map(|one| (one.id.as_str(), one))
        .collect();
    let tagged = by_tag(plan);
    let rejected = state.rejected.iter();
    let rejected = rejected.map(|one| format!("{}: {}", one.kind, one.reason));
    let backends = state.gateway.backends.iter();
    let domains = state.gateway.virtual_hosts.iter();
    GatewayStatus {
        pools: pools.iter().map(pool).collect(),
        backends: backends
            .map(|one| {
                backend(
                    state,
                    one,
                    planned.get(one.id.as_str()),
                    checks.get(&one.id),
                )
            })
            .collect(),
        domains: domains.map(|one| domain(state, one, &tagged)).collect(),
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
    state: &State,
    backend: &Backend,
    planned: Option<&&BackendPlan>,
    seen: Option<&Seen>,
) -> BackendStatus {
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
        source: state.source::<Backend>(&backend.id).word().to_owned(),
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

fn domain(
    state: &State,
    host: &VirtualHost,
    tagged: &BTreeMap<&str, Vec<&BackendPlan>>,
) -> DomainStatus {
    let backends = tagged.get(host.enabled_backends_tag.as_str());
    let backends = backends.map_or(&[][..], Vec::as_slice);
    DomainStatus {
        domain: host.domain.clone(),
        enabled_backends_tag: host.enabled_backends_tag.clone(),
        healthy_backends: backends.iter().filter(|one| one.is_healthy).count(),
        backends: backends.iter().map(|one| one.id.clone()).collect(),
        source: state.source::<VirtualHost>(&host.domain).word().to_owned(),
    }
}
