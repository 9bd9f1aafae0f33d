//! What is seen of a tpp at one moment, and how it is sorted.

use std::cmp::{Ordering, Reverse};

use tpp::control::{BackendStatus, DomainStatus, PoolSummary, Status, TokenStatus, WorkerStatus};

use crate::render::{self, Grid};

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) status: Status,
    pub(crate) pools: Vec<PoolSummary>,
    /// Slots that are held.
    pub(crate) holders: Vec<TokenStatus>,
}

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Pools,
    Holders,
    Hosts,
    Backends,
    Workers,
}

impl View {
    pub(crate) const ALL: [Self; 5] = [
        Self::Pools,
        Self::Holders,
        Self::Hosts,
        Self::Backends,
        Self::Workers,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Pools => "Pools",
            Self::Holders => "Holders",
            Self::Hosts => "Hosts",
            Self::Backends => "Backends",
            Self::Workers => "Workers",
        }
    }

    /// By what it can be sorted; the first is how it is at first.
    pub(crate) fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Pools => &["name", "waiting", "in use", "longest wait"],
            Self::Holders => &["held", "slot", "client", "user"],
            Self::Hosts => &["name", "waiting", "under way"],
            Self::Backends => &["name", "under way", "mean", "health"],
            Self::Workers => &["seat", "connections", "leases", "requests"],
        }
    }
}

/// What a line is of: what can be done is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Pool {
        name: String,
        paused: bool,
    },
    Holder {
        pool: String,
        slot: u32,
        user: String,
    },
    Host {
        domain: String,
        tag: String,
    },
    Backend {
        id: String,
        serves: bool,
    },
    Worker {
        seat: u32,
    },
}

impl Target {
    /// Whether it is the same one, however it has changed.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pool { name, .. }, Self::Pool { name: other, .. }) => name == other,
            (
                Self::Holder { pool, slot, .. },
                Self::Holder {
                    pool: other_pool,
                    slot: other,
                    ..
                },
            ) => (pool, slot) == (other_pool, other),
            (Self::Host { domain, .. }, Self::Host { domain: other, .. }) => domain == other,
            (Self::Backend { id, .. }, Self::Backend { id: other, .. }) => id == other,
            (Self::Worker { seat }, Self::Worker { seat: other }) => seat == other,
            _ => false,
        }
    }
}

/// A view's lines, in order, and what each is of.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) grid: Grid,
    pub(crate) targets: Vec<Target>,
}

impl Look {
    /// The lines of `view`, sorted by the so manieth of its orders.
    pub(crate) fn shown(&self, view: View, order: usize, reversed: bool) -> Shown {
        let order = view.orders()[order];
        let gateway = &self.status.gateway;
        match view {
            View::Pools => {
                let pools = sorted(&self.pools, reversed, |one, other| pool(order, one, other));
                Shown {
                    grid: render::pools_grid(&pools),
                    targets: pools.iter().map(of_pool).collect(),
                }
            }
            View::Holders => {
                let held = sorted(&self.holders, reversed, |one, other| {
                    holder(order, one, other)
                });
                Shown {
                    grid: render::holders_grid(&held),
                    targets: held.iter().map(of_holder).collect(),
                }
            }
            View::Hosts => {
                let hosts = sorted(&gateway.domains, reversed, |one, other| {
                    host(order, one, other)
                });
                Shown {
                    grid: render::domains_grid(&hosts),
                    targets: hosts.iter().map(of_host).collect(),
                }
            }
            View::Backends => {
                let backends = sorted(&gateway.backends, reversed, |one, other| {
                    backend(order, one, other)
                });
                Shown {
                    grid: render::backends_grid(&backends),
                    targets: backends.iter().map(of_backend).collect(),
                }
            }
            View::Workers => {
                let workers = sorted(&self.status.workers, reversed, |one, other| {
                    worker(order, one, other)
                });
                let seats = workers.iter().map(|one| Target::Worker { seat: one.seat });
                Shown {
                    targets: seats.collect(),
                    grid: render::workers_grid(&workers),
                }
            }
        }
    }

    /// All tags that backends have.
    pub(crate) fn tags(&self) -> Vec<String> {
        let backends = self.status.gateway.backends.iter();
        let mut tags: Vec<_> = backends.flat_map(|one| one.tags.clone()).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

fn sorted<T: Clone>(all: &[T], reversed: bool, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort_by(order);
    if reversed {
        all.reverse();
    }
    all
}

// What is most worth a look comes first: names from the beginning, numbers from the largest.

fn pool(order: &str, one: &PoolSummary, other: &PoolSummary) -> Ordering {
    let key = |pool: &PoolSummary| match order {
        "waiting" => pool.numbers.waiting,
        "in use" => pool.numbers.in_use,
        "longest wait" => pool.longest_wait_ms,
        _ => 0,
    };
    Reverse(key(one))
        .cmp(&Reverse(key(other)))
        .then_with(|| one.name.cmp(&other.name))
}

fn holder(order: &str, one: &TokenStatus, other: &TokenStatus) -> Ordering {
    let by = match order {
        "held" => other.held_ms.cmp(&one.held_ms),
        "client" => one.client.cmp(&other.client),
        "user" => one.user.cmp(&other.user),
        _ => Ordering::Equal,
    };
    let slot = |one: &TokenStatus| (one.pool.clone(), one.slot);
    by.then_with(|| slot(one).cmp(&slot(other)))
}

fn host(order: &str, one: &DomainStatus, other: &DomainStatus) -> Ordering {
    let key = |host: &DomainStatus| match order {
        "waiting" => host.waiting,
        "under way" => host.in_flight,
        _ => 0,
    };
    Reverse(key(one))
        .cmp(&Reverse(key(other)))
        .then_with(|| one.domain.cmp(&other.domain))
}

fn backend(order: &str, one: &BackendStatus, other: &BackendStatus) -> Ordering {
    let mean = |one: &BackendStatus| one.answers.map_or(-1.0, |times| times.mean_ms);
    let by = match order {
        "under way" => other.in_flight.cmp(&one.in_flight),
        "mean" => mean(other).total_cmp(&mean(one)),
        "health" => {
            (one.healthy, one.ejected.is_none()).cmp(&(other.healthy, other.ejected.is_none()))
        }
        _ => Ordering::Equal,
    };
    by.then_with(|| one.id.cmp(&other.id))
}

fn worker(order: &str, one: &WorkerStatus, other: &WorkerStatus) -> Ordering {
    let key = |worker: &WorkerStatus| match order {
        "connections" => worker.connections,
        "leases" => worker.leases,
        "requests" => worker.requests,
        _ => 0,
    };
    Reverse(key(one))
        .cmp(&Reverse(key(other)))
        .then_with(|| one.seat.cmp(&other.seat))
}

fn of_pool(pool: &PoolSummary) -> Target {
    Target::Pool {
        name: pool.name.clone(),
        paused: pool.paused,
    }
}

fn of_holder(token: &TokenStatus) -> Target {
    Target::Holder {
        pool: token.pool.clone(),
        slot: token.slot,
        user: token.user.clone(),
    }
}

fn of_host(host: &DomainStatus) -> Target {
    Target::Host {
        domain: host.domain.clone(),
        tag: host.enabled_backends_tag.clone(),
    }
}

fn of_backend(backend: &BackendStatus) -> Target {
    Target::Backend {
        id: backend.id.clone(),
        serves: backend.state == "ready",
    }
}
