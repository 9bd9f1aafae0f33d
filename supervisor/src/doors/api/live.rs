//! Entries as they are now: their keys, and what was found out of them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tpp::{
    config::{Backend, BackendState, Entry, VirtualHost},
    control::{BackendStatus, BreakerStatus, BreakerWord, DomainStatus, GatewayStatus},
};

use crate::desired::{State, tagged};

/// The desired state, and how things are.
pub(super) struct Live {
    pub(super) state: Arc<State>,
    backends: BTreeMap<String, BackendStatus>,
    domains: BTreeMap<String, DomainStatus>,
}

impl Live {
    /// `seen` is of about now.
    pub(super) fn new(state: Arc<State>, seen: GatewayStatus) -> Self {
        let backends = seen.backends.into_iter();
        let domains = seen.domains.into_iter();
        Self {
            state,
            domains: domains.map(|one| (one.domain.clone(), one)).collect(),
            backends: backends.map(|one| (one.id.clone(), one)).collect(),
        }
    }

    fn is_healthy(&self, id: &str) -> bool {
        self.backends.get(id).is_some_and(|one| one.healthy)
    }

    /// How many of the backends with `tag` take new clients: they are up, ready, have a weight, and are not left out.
    pub(super) fn serving(&self, tag: &str) -> usize {
        let serves = |one: &&Backend| {
            let seen = self.backends.get(&one.id);
            one.state == BackendState::Ready
                && one.weight > 0
                && seen.is_some_and(|seen| seen.healthy && seen.ejected.is_none())
        };
        tagged(&self.state.gateway, tag).filter(serves).count()
    }
}

/// Keys of what is shown of both kinds besides their own.
pub(super) const UNDER_WAY: [&str; 5] = [
    "in_flight",
    "waiting",
    "breaker",
    "breaker_failures",
    "breaker_remaining_seconds",
];

/// A backend: with `healthy`, `health` as the checks have it, `ejected` and `answers` by what requests met there.
pub(super) fn shown_backend(backend: &Backend, live: &Live) -> Value {
    let mut shown = backend.to_json();
    shown["source"] = live.state.source::<Backend>(&backend.id).word().into();
    shown["healthy"] = live.is_healthy(&backend.id).into();
    let seen = live.backends.get(&backend.id);
    shown["health"] = json!(seen.and_then(|one| one.health.as_ref()));
    shown["addresses"] = json!(seen.map(|one| &one.addresses));
    shown["answers"] = json!(seen.and_then(|one| one.answers));
    shown["ejected"] = json!(seen.and_then(|one| one.ejected.as_ref()));
    if let Some(seen) = seen {
        under_way(&mut shown, (seen.in_flight, seen.waiting), &seen.breaker);
    }
    shown
}

/// What is under way, and what the breaker does.
fn under_way(shown: &mut Value, (in_flight, waiting): (u64, u64), breaker: &BreakerStatus) {
    shown["in_flight"] = in_flight.into();
    shown["waiting"] = waiting.into();
    shown["breaker"] = breaker.breaker.word().into();
    shown["breaker_failures"] = breaker.breaker_failures.into();
    shown["breaker_remaining_seconds"] = breaker.breaker_remaining_seconds.into();
}

/// A host: with the backends of its tag, and whether one of them can serve.
pub(super) fn shown_domain(host: &VirtualHost, live: &Live) -> Value {
    let seen = live.domains.get(&host.domain);
    let breaker = |id: &str| seen.and_then(|seen| seen.tripped.get(id));
    let of_tag = tagged(&live.state.gateway, &host.enabled_backends_tag);
    let backends: Vec<_> = of_tag
        .map(|one| {
            json!({
                "id": one.id,
                "healthy": live.is_healthy(&one.id),
                "state": one.state.word(),
                "weight": one.weight,
                "in_flight": live.backends.get(&one.id).map_or(0, |seen| seen.in_flight),
                "breaker": breaker(&one.id).map_or(BreakerWord::Closed, |one| one.breaker).word(),
            })
        })
        .collect();
    let healthy = live.serving(&host.enabled_backends_tag);
    let mut shown = host.to_json();
    shown["source"] = live.state.source::<VirtualHost>(&host.domain).word().into();
    shown["backends"] = backends.into();
    shown["healthy_backends"] = healthy.into();
    shown["healthy"] = (healthy > 0).into();
    if let Some(seen) = seen {
        under_way(&mut shown, (seen.in_flight, seen.waiting), &seen.breaker);
    }
    shown
}
