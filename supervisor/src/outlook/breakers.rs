//! What circuit breakers say: that of each host, and those that it has for single backends.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tpp::{
    control::{BreakerStatus, BreakerWord},
    lending::{BreakerAt, Stock, breaker_policy},
    limits::{BreakerLook, BreakerRules, BreakerState},
    plan::{HostPlan, Plan},
};

/// Breakers of one host.
#[derive(Debug, Clone, Default)]
pub(super) struct OfHost {
    /// Its own.
    pub(super) own: BreakerStatus,
    /// Those for single backends, by id.
    pub(super) backends: Vec<(String, BreakerStatus)>,
}

/// Each breaker that there is; of hosts without one, nothing.
pub(super) fn breakers<'p>(plan: &'p Plan, stock: &Stock) -> BTreeMap<&'p str, OfHost> {
    let enabled = plan
        .hosts
        .iter()
        .filter(|one| one.host.circuit_breaker.enabled);
    enabled
        .map(|one| (one.host.domain.as_str(), of_host(plan, one, stock)))
        .collect()
}

fn of_host(plan: &Plan, host: &HostPlan, stock: &Stock) -> OfHost {
    let rules = breaker_policy(&host.host.circuit_breaker).rules;
    let pairs = host.pairs.iter().filter_map(|pair| {
        let id = plan.backends.get(pair.backend)?.id.clone();
        Some((id, status(stock, BreakerAt::Pair(pair.row), rules)))
    });
    OfHost {
        own: status(stock, BreakerAt::Host(host.row), rules),
        backends: pairs.collect(),
    }
}

/// What each of them does, by host and backend; a host's own has no backend.
pub(super) fn each(plan: &Plan, stock: &Stock) -> Vec<(String, String, BreakerWord)> {
    let breakers = breakers(plan, stock);
    let each = breakers.iter().flat_map(|(domain, host)| {
        let own = std::iter::once((String::new(), host.own));
        let all = own.chain(host.backends.iter().cloned());
        all.map(|(backend, status)| ((*domain).to_owned(), backend, status.breaker))
    });
    each.collect()
}

/// Of each backend, by id, the breaker that lets the fewest through.
pub(super) fn worst(breakers: &BTreeMap<&str, OfHost>) -> HashMap<String, BreakerStatus> {
    let mut worst: HashMap<String, BreakerStatus> = HashMap::new();
    for (id, status) in breakers.values().flat_map(|host| &host.backends) {
        let known = worst.entry(id.clone()).or_default();
        *known = (*known).max(*status);
    }
    worst
}

fn status(stock: &Stock, at: BreakerAt, rules: BreakerRules) -> BreakerStatus {
    let BreakerLook {
        state,
        failures,
        after,
    } = stock.breaker_look(at, rules);
    BreakerStatus {
        breaker: match state {
            BreakerState::Closed => BreakerWord::Closed,
            BreakerState::Open => BreakerWord::Open,
            BreakerState::HalfOpen => BreakerWord::HalfOpen,
        },
        breaker_failures: failures,
        breaker_remaining_seconds: rounded_up(after),
    }
}

fn rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
