//! Entries as they are now: their keys, and what was found out of them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tpp::{
    config::{Backend, Entry, VirtualHost},
    control::{BackendStatus, GatewayStatus},
};

use crate::desired::{State, tagged};

/// The desired state, and how things are.
pub(super) struct Live {
    pub(super) state: Arc<State>,
    backends: BTreeMap<String, BackendStatus>,
}

impl Live {
    /// `seen` is of about now.
    pub(super) fn new(state: Arc<State>, seen: GatewayStatus) -> Self {
        let backends = seen.backends.into_iter();
        Self {
            state,
            backends: backends.map(|one| (one.id.clone(), one)).collect(),
        }
    }

    pub(super) fn is_healthy(&self, id: &str) -> bool {
        self.backends.get(id).is_some_and(|one| one.healthy)
    }
}

/// A backend: with `healthy`, and `health` as the checks have it.
pub(super) fn shown_backend(backend: &Backend, live: &Live) -> Value {
    let mut shown = backend.to_json();
    shown["source"] = live.state.source::<Backend>(&backend.id).word().into();
    shown["healthy"] = live.is_healthy(&backend.id).into();
    let seen = live.backends.get(&backend.id);
    shown["health"] = json!(seen.and_then(|one| one.health.as_ref()));
    shown["addresses"] = json!(seen.map(|one| &one.addresses));
    shown
}

/// A host: with the backends of its tag, and whether one of them can serve.
pub(super) fn shown_domain(host: &VirtualHost, live: &Live) -> Value {
    let of_tag = tagged(&live.state.gateway, &host.enabled_backends_tag);
    let backends: Vec<_> = of_tag
        .map(|one| {
            json!({
                "id": one.id,
                "healthy": live.is_healthy(&one.id),
                "state": one.state.word(),
                "weight": one.weight,
            })
        })
        .collect();
    let healthy = backends.iter().filter(|one| one["healthy"] == true).count();
    let mut shown = host.to_json();
    shown["source"] = live.state.source::<VirtualHost>(&host.domain).word().into();
    shown["backends"] = backends.into();
    shown["healthy_backends"] = healthy.into();
    shown["healthy"] = (healthy > 0).into();
    shown
}
