//! From what is wanted and what was found out to a plan. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use tpp::{
    config::{
        Backend, BackendState, Gateway, PLAIN_BACKEND, Pool, Provider, Proxy, TokenScope, Upstream,
        VirtualHost,
    },
    ids::{Origin, PoolId},
    lending::{RowKeys, RowsGiven, TokenSettings, WorkerSettings, row_key},
    plan::{BackendPlan, HostPlan, Place, Plan, PoolPlan, Server, origin_of_pool},
};

use crate::proxy;

use super::{
    groups::{by_host, group_keys},
    spread::spread,
};

/// A server's name and port, by which its addresses are known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Name {
    /// Of `upstream`, or of the proxy that it is behind: who is connected to.
    pub(crate) fn of(upstream: &Upstream) -> Self {
        let (host, port) = match proxy::before(upstream) {
            Some(proxy) => (proxy.host, proxy.port),
            None => (upstream.host.clone(), upstream.port),
        };
        Self {
            // Names are compared without regard to case.
            host: host.to_ascii_lowercase(),
            port,
        }
    }
}

/// The addresses of each name; none as long as it did not resolve.
pub(crate) type Addresses = BTreeMap<Name, Vec<SocketAddr>>;

/// Of what a plan is made.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) settings: WorkerSettings,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) addresses: Addresses,
    /// Backends that are left out for a while: no session is drawn there.
    pub(crate) out: BTreeSet<String>,
}

impl Inputs {
    /// Where `upstream` is.
    pub(crate) fn addresses_of(&self, upstream: &Upstream) -> &[SocketAddr] {
        let known = self.addresses.get(&Name::of(upstream));
        known.map_or(&[], Vec::as_slice)
    }

    /// The names whose addresses it needs.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let backends = self.gateway.backends.iter();
        backends.map(|one| Name::of(&one.upstream))
    }

    fn pool_of(&self, backend: &Backend) -> Option<(usize, &Pool)> {
        let name = backend.pool.as_deref()?;
        let mut pools = self.gateway.pools.iter().enumerate();
        pools.find(|(_, pool)| pool.name == name)
    }

    /// Where `backend` is, and which tokens may go there.
    fn places(&self, backend: &Backend) -> Vec<Place> {
        let addresses = self.addresses_of(&backend.upstream);
        let Some((_, pool)) = self.pool_of(backend) else {
            let place = |&address| Place {
                address,
                origin: Origin::NONE,
            };
            return addresses.iter().map(place).collect();
        };
        let scope = scope(pool);
        // What `[upstream]` says is one server, whose tokens are no other one's. Backends of a pool whose tokens are good at each have
        // one origin, so that one may come and go.
        if scope == TokenScope::Pool && backend.id != PLAIN_BACKEND {
            let origin = origin_of_pool(&pool.name);
            let place = |&address| Place { address, origin };
            return addresses.iter().map(place).collect();
        }
        // A proxy's address is not where sessions are kept.
        let scope = match backend.upstream.proxy {
            Proxy::None => scope,
            Proxy::Environment | Proxy::At { .. } => TokenScope::Pool,
        };
        Server::of(&backend.upstream, scope).at(addresses)
    }
}

/// What a token of `pool` is good for. One that no backend has drawn is not bound to any.
fn scope(pool: &Pool) -> TokenScope {
    match (pool.provider, &pool.login.url) {
        (Provider::DolphinDb, None) => pool.token.scope,
        _ => TokenScope::Pool,
    }
}

/// Where tokens of `pool` are drawn, in turn, by weight: at those of its backends that can serve, or else at any. Sessions at others are drawn anew, so that
/// a backend that goes down frees them.
pub(crate) fn sources(
    inputs: &Inputs,
    pool: &str,
    is_healthy: impl Fn(&str) -> bool,
) -> Vec<Place> {
    let backends = inputs.gateway.backends.iter();
    let own: Vec<_> = backends
        .filter(|one| one.pool.as_deref() == Some(pool))
        .filter(|one| !inputs.addresses_of(&one.upstream).is_empty())
        .collect();
    let takes = |one: &Backend| {
        one.state == BackendState::Ready && one.weight > 0 && !inputs.out.contains(&one.id)
    };
    let wishes: [&dyn Fn(&Backend) -> bool; 3] = [
        &|one| takes(one) && !one.backup && is_healthy(&one.id),
        &|one| takes(one) && is_healthy(&one.id),
        &|one| takes(one),
    ];
    let chosen = wishes.iter().find_map(|wish| {
        let some: Vec<_> = own.iter().copied().filter(|one| wish(one)).collect();
        (!some.is_empty()).then_some(some)
    });
    let chosen = chosen.unwrap_or(own);
    let weighted = chosen
        .into_iter()
        .map(|one| (inputs.places(one), one.weight));
    spread(weighted.collect())
}

/// By which the shared words of what is in `gateway` are found.
pub(super) fn row_keys(gateway: &Gateway) -> RowKeys {
    let hosts = gateway.virtual_hosts.iter();
    let backends = gateway.backends.iter();
    RowKeys {
        hosts: hosts.map(|one| row_key(&[&one.domain])).collect(),
        backends: backends.map(|one| row_key(&[&one.id])).collect(),
        groups: group_keys(gateway),
        ..RowKeys::default()
    }
}

/// The concurrency limits of `gateway`: by which each is found, and how many permits it has.
pub(super) fn limits(gateway: &Gateway) -> Vec<(u64, usize)> {
    let hosts = gateway.virtual_hosts.iter();
    let hosts = hosts.filter_map(|one| Some((host_limit(one), one.max_concurrent?)));
    let backends = gateway.backends.iter();
    let backends = backends.filter_map(|one| Some((backend_limit(one), one.max_concurrent?)));
    hosts.chain(backends).collect()
}

fn host_limit(host: &VirtualHost) -> u64 {
    row_key(&["host", &host.domain])
}

fn backend_limit(backend: &Backend) -> u64 {
    row_key(&["backend", &backend.id])
}

/// What the region has given to what is in a plan.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Pools of tokens, by name.
    pub(super) pools: BTreeMap<String, PoolId>,
    /// Pools of permits, by what [`limits`] finds them by.
    pub(super) permits: BTreeMap<u64, PoolId>,
    /// Shared words, in the order of [`row_keys`].
    pub(super) rows: RowsGiven,
}

/// The one of `list` that is called so.
fn named<T: Clone>(list: &[T], wanted: Option<&String>, name: impl Fn(&T) -> &String) -> Option<T> {
    list.iter().find(|one| Some(name(one)) == wanted).cloned()
}

/// The plan of `inputs`.
pub(super) fn compile(
    generation: u64,
    inputs: &Inputs,
    given: &Given,
    is_healthy: impl Fn(&str) -> bool,
) -> Plan {
    let gateway = &inputs.gateway;
    let pool = |pool: &Pool| PoolPlan {
        name: pool.name.clone(),
        id: given
            .pools
            .get(&pool.name)
            .copied()
            .unwrap_or(PoolId::DEFAULT),
        token: TokenSettings {
            scope: scope(pool),
            ..TokenSettings::of(&pool.token)
        },
        lease: pool.lease.clone(),
        inject: pool.inject.clone(),
    };
    let permits =
        |bound: Option<usize>, key| given.permits.get(&key).copied().filter(|_| bound.is_some());
    let backend = |(backend, &row): (&Backend, &usize)| BackendPlan {
        id: backend.id.clone(),
        upstream: backend.upstream.clone(),
        places: inputs.places(backend),
        tags: backend.tags.clone(),
        pool: inputs.pool_of(backend).map(|(index, _)| index),
        weight: backend.weight,
        state: backend.state,
        backup: backend.backup,
        is_healthy: is_healthy(&backend.id),
        permits: permits(backend.max_concurrent, backend_limit(backend)),
        row,
        proxy: proxy::before(&backend.upstream),
        slow_start: backend.slow_start,
    };
    let mut groups = by_host(gateway, &given.rows.groups).into_iter();
    let host = |(host, &row): (&VirtualHost, &usize)| HostPlan {
        host: host.clone(),
        rate_limit: named(&gateway.rate_limits, host.rate_limit.as_ref(), |one| {
            &one.name
        }),
        access: named(&gateway.access, host.access.as_ref(), |one| &one.name),
        permits: permits(host.max_concurrent, host_limit(host)),
        row,
        groups: groups.next().unwrap_or_default(),
    };
    let (hosts, backends) = (gateway.virtual_hosts.iter(), gateway.backends.iter());
    Plan {
        generation,
        settings: inputs.settings.clone(),
        pools: gateway.pools.iter().map(pool).collect(),
        backends: backends.zip(&given.rows.backends).map(backend).collect(),
        hosts: hosts.zip(&given.rows.hosts).map(host).collect(),
    }
}

#[cfg(test)]
mod tests;
