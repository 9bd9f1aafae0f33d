//! A backend, as one virtual host uses it.

use std::sync::Arc;

use tpp::{
    config::{Client, Timeouts, Upstream},
    lending::{NO_ROW, WorkerSettings},
    plan::HostPlan,
};

use super::{backend::Backend, lot, pool::TokenPool};

/// A backend, as one virtual host uses it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) backend: Arc<Backend>,
    /// What holds for requests to it.
    pub(crate) settings: Arc<WorkerSettings>,
    /// The row of the host's use of it; none may be there.
    pub(crate) pair: usize,
    salt: u64,
}

/// All that a host's groups are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) settings: &'a Arc<WorkerSettings>,
    pub(crate) pools: &'a [Arc<TokenPool>],
    pub(crate) backends: &'a [Arc<Backend>],
    /// Requests are counted by host and backend.
    pub(crate) is_counted: bool,
}

impl Member {
    /// The backend with `index`, for `host`.
    pub(crate) fn new(index: usize, host: &HostPlan, parts: Parts<'_>) -> Self {
        let backend = &parts.backends[index];
        Self {
            settings: settings_for(backend, &host.host.timeouts, parts),
            pair: host.pair(index).unwrap_or(NO_ROW),
            salt: lot::key(backend.plan.id.as_bytes()),
            backend: Arc::clone(backend),
        }
    }

    /// How much a client of `key` belongs to it, as long as it has so many thousandths of its weight.
    pub(crate) fn score(&self, key: u64, share: u64) -> f64 {
        // No more than a thousand thousandths of a thousand.
        let weight = u64::from(self.backend.plan.weight.max(1)) * share;
        lot::score(key, self.salt, weight as f64)
    }
}

/// What holds for requests to `backend`: its own way to be reached, its pool's rules, the host's timeouts.
fn settings_for(backend: &Backend, timeouts: &Timeouts, parts: Parts<'_>) -> Arc<WorkerSettings> {
    let own = &backend.plan.upstream;
    let dial = timeouts.dial.or(Some(own.connect_timeout));
    let idle = timeouts.idle.or(Some(own.idle_timeout));
    let mut all = WorkerSettings {
        upstream: Upstream {
            connect_timeout: dial.unwrap_or(own.connect_timeout),
            response_header_timeout: timeouts.response_header.or(own.response_header_timeout),
            idle_timeout: idle.unwrap_or(own.idle_timeout),
            read_timeout: timeouts.read.or(own.read_timeout),
            ..own.clone()
        },
        client: Client {
            exchange_timeout: timeouts.exchange.or(parts.settings.client.exchange_timeout),
            ..parts.settings.client.clone()
        },
        ..(**parts.settings).clone()
    };
    if let Some(pool) = backend.plan.pool.and_then(|index| parts.pools.get(index)) {
        all.token = pool.plan.token.clone();
        all.lease = pool.plan.lease.clone();
    }
    Arc::new(all)
}
