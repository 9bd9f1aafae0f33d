//! Who serves whom: pools, backends and virtual hosts as workers see them.
//!
//! They name one another by index, so that a request's way is a few loads; what is kept from one plan to the next (idle
//! connections, places in a line) is found again by name.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::{
        Access, BackendState, DEFAULT_DOMAIN, DEFAULT_POOL, Inject, Lease, PLAIN_BACKEND,
        PLAIN_TAG, RateLimit, Upstream, VirtualHost,
    },
    ids::PoolId,
    lending::{TokenSettings, WorkerSettings},
};

use super::{Place, Plan};

/// A pool of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolPlan {
    /// Its name in the configuration.
    pub name: String,
    /// Where it lies in the region.
    pub id: PoolId,
    /// What concerns requests of `[pools.token]`.
    pub token: TokenSettings,
    /// `[pools.lease]`.
    pub lease: Lease,
    /// How a token is written into a request.
    pub inject: Inject,
}

/// An origin server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendPlan {
    /// Its name in the configuration.
    pub id: String,
    /// How it is reached, and how long it may take.
    pub upstream: Upstream,
    /// Where it is: none as long as its name did not resolve.
    pub places: Vec<Place>,
    /// The groups that it belongs to.
    pub tags: Vec<String>,
    /// Index of its pool; `None`: it is sent no token of ours.
    pub pool: Option<usize>,
    /// Its share of new traffic beside the others of its tag, 0 to 1000.
    pub weight: u32,
    /// What an operator wants of it.
    pub state: BackendState,
    /// Used only when no other one of the tag can serve.
    pub backup: bool,
    /// What health checks say; true where there are none.
    pub is_healthy: bool,
    /// The pool of its permits (`max_concurrent`), if it is bounded.
    pub permits: Option<PoolId>,
    /// Its row among the region's shared words of backends; stays the same as long as the backend does.
    pub row: usize,
    /// The proxy that it is behind: the places are the proxy's then.
    pub proxy: Option<ProxyAt>,
    /// How long its share grows to the full one after it has come up.
    pub slow_start: Duration,
}

impl BackendPlan {
    /// Whether it takes new clients, as far as checks and operators have a say.
    #[must_use]
    pub fn takes_new(&self) -> bool {
        self.is_healthy && self.state == BackendState::Ready && self.weight > 0
    }
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyAt {
    /// Host name or address literal (an IPv6 literal without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What it is told of who asks, the value of a `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl ProxyAt {
    /// Host and port as in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        Upstream::at(&self.host, self.port).authority()
    }
}

impl fmt::Debug for ProxyAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be a password in the rest.
        f.write_str(&self.authority())
    }
}

/// A tag of a host that has a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// The tag.
    pub tag: String,
    /// Its row among the region's shared words of groups; stays the same as long as host and tag do.
    pub row: usize,
}

/// A virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// What the configuration, or the API, says.
    pub host: VirtualHost,
    /// The limit that it names.
    pub rate_limit: Option<RateLimit>,
    /// The list that it names.
    pub access: Option<Access>,
    /// The pool of its permits (`max_concurrent`), if it is bounded.
    pub permits: Option<PoolId>,
    /// Its row among the region's shared words of hosts; stays the same as long as the host does.
    pub row: usize,
    /// The backends that it uses, as far as there are rows for each of them by itself; in the order of their indexes.
    pub pairs: Vec<PairPlan>,
    /// Its tags whose turns are counted over all workers.
    pub groups: Vec<GroupPlan>,
}

/// A host's use of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairPlan {
    /// Index of the backend.
    pub backend: usize,
    /// Its row among the region's shared words of pairs; stays the same as long as host and backend do.
    pub row: usize,
}

impl HostPlan {
    /// Whether something bounds what may be asked of it.
    fn is_bounded(&self) -> bool {
        self.rate_limit.is_some()
            || self.access.is_some()
            || self.permits.is_some()
            || self.host.circuit_breaker.enabled
    }

    /// The row of its use of the backend with that index, if there is one.
    #[must_use]
    pub fn pair(&self, backend: usize) -> Option<usize> {
        let found = self
            .pairs
            .binary_search_by_key(&backend, |pair| pair.backend);
        found.ok().map(|at| self.pairs[at].row)
    }
}

impl Plan {
    /// Whether it is that of a configuration without tables of backends and hosts.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(&self.backends[..], [backend] if backend.id == PLAIN_BACKEND)
    }

    /// Whether requests are counted by host and backend. Those of a plain configuration are not, as long as nothing is bounded there and
    /// nobody can ask the management API about it: what it costs a request, it would cost for nothing.
    #[must_use]
    pub fn counts_hosts(&self) -> bool {
        !self.is_plain()
            || self.settings.has_api
            || self.hosts.iter().any(HostPlan::is_bounded)
            || self.backends.iter().any(|one| one.permits.is_some())
    }

    /// One pool, one backend and one host for all: what `[upstream]`, `[token]` and `[lease]` say.
    #[must_use]
    pub fn plain(generation: u64, settings: WorkerSettings, places: Vec<Place>) -> Self {
        let pool = PoolPlan {
            name: DEFAULT_POOL.to_owned(),
            id: PoolId::DEFAULT,
            token: settings.token.clone(),
            lease: settings.lease.clone(),
            inject: Inject::default(),
        };
        let backend = BackendPlan {
            id: PLAIN_BACKEND.to_owned(),
            upstream: settings.upstream.clone(),
            places,
            tags: vec![PLAIN_TAG.to_owned()],
            pool: Some(0),
            weight: 1,
            state: BackendState::Ready,
            backup: false,
            is_healthy: true,
            permits: None,
            row: 0,
            proxy: None,
            slow_start: Duration::ZERO,
        };
        let host = HostPlan {
            host: VirtualHost::of(DEFAULT_DOMAIN, PLAIN_TAG),
            rate_limit: None,
            access: None,
            permits: None,
            row: 0,
            pairs: Vec::new(),
            groups: Vec::new(),
        };
        Self {
            generation,
            settings,
            pools: vec![pool],
            backends: vec![backend],
            hosts: vec![host],
        }
    }
}
