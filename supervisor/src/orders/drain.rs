//! Waiting until a backend that takes nothing new has nothing left.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tpp::{
    config::{Backend, BackendState},
    ids::Origin,
    plan::{BackendPlan, Plan},
};

use super::Orders;

/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a backend still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Requests under way to it, and those that wait for leave.
    requests: u64,
    /// Leases of tokens that are good at it alone: their connections go on there.
    leases: u64,
}

/// Why a backend is not empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotEmpty {
    #[error("there is no backend {0:?}")]
    Unknown(String),
    #[error("backend {0:?} serves again")]
    Serves(String),
    #[error(
        "backend {id:?} still has {} requests under way and {} leases after {seconds} s; nothing of them is cut off",
        left.requests, left.leases
    )]
    Late {
        id: String,
        left: Left,
        seconds: u64,
    },
    #[error("tpp is stopping")]
    Stopping,
}

impl Orders {
    /// Waits until backend `id`, which is to take nothing new, has nothing under way, but no longer than `limit`.
    ///
    /// # Errors
    /// Why it has.
    pub(crate) async fn until_empty(&self, id: &str, limit: Duration) -> Result<(), NotEmpty> {
        let deadline = Instant::now() + limit;
        loop {
            let state = self.outlook.desired.state();
            let backend = state.find::<Backend>(id);
            let backend = backend.ok_or_else(|| NotEmpty::Unknown(id.to_owned()))?;
            if backend.state == BackendState::Ready {
                return Err(NotEmpty::Serves(id.to_owned()));
            }
            let left = self.left_at(id);
            if (left.requests, left.leases) == (0, 0) {
                return Ok(());
            }
            if self.outlook.is_stopping() {
                return Err(NotEmpty::Stopping);
            }
            if Instant::now() >= deadline {
                return Err(NotEmpty::Late {
                    id: id.to_owned(),
                    left,
                    seconds: limit.as_secs(),
                });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn left_at(&self, id: &str) -> Left {
        let plan = self.outlook.plans.in_force();
        let Some(backend) = plan.backends.iter().find(|one| one.id == id) else {
            return Left {
                requests: 0,
                leases: 0,
            };
        };
        let stock = &self.outlook.stock;
        let permits = backend
            .permits
            .map_or(0, |pool| stock.taken_or_wanted(pool));
        let pool = backend.pool.and_then(|index| plan.pools.get(index));
        let own = own_origins(&plan, backend);
        let leases = pool
            .and_then(|pool| self.pools.all().remove(&pool.name))
            .map_or(0, |pool| pool.stock.leases_of_origins(&own));
        Left {
            // Each request has a permit, where there are permits.
            requests: stock.backend_in_flight(backend.row).max(permits),
            leases,
        }
    }
}

/// Of tokens that are good at this backend and at no other one.
fn own_origins(plan: &Plan, backend: &BackendPlan) -> HashSet<Origin> {
    let of = |one: &BackendPlan| -> Vec<Origin> {
        let origins = one.places.iter().map(|place| place.origin);
        origins.filter(|origin| *origin != Origin::NONE).collect()
    };
    let mut own: HashSet<_> = of(backend).into_iter().collect();
    let others = plan.backends.iter().filter(|one| one.id != backend.id);
    for origin in others.flat_map(of) {
        own.remove(&origin);
    }
    own
}
