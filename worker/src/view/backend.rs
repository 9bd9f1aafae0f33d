//! A backend, as one plan describes it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed}, // One thread writes and reads.
};

use tpp::{config::BackendState, lending::Desk, plan::BackendPlan};

use crate::upstream::Upstream;

/// A backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) plan: BackendPlan,
    pub(crate) upstream: Upstream,
    /// One for each request that it may have under way, over all workers; `None`: as many as come.
    pub(crate) permits: Option<Arc<Desk>>,
    /// Attempts of this worker that are under way; the same over all plans.
    in_flight: Arc<AtomicUsize>,
}

/// One attempt, counted as long as this lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Backend {
    /// That of `plan`; the one `before` it is the same in an older plan.
    pub(crate) fn new(
        plan: BackendPlan,
        (workers, desk): (usize, &Desk),
        before: Option<&Arc<Self>>,
    ) -> Self {
        let upstream = match before {
            Some(before) if before.plan.upstream == plan.upstream => {
                before.upstream.moved(&plan.places)
            }
            _ => Upstream::new(&plan, workers),
        };
        Self {
            permits: plan.permits.and_then(|pool| desk.open(pool)),
            plan,
            upstream,
            in_flight: before.map_or_else(Arc::default, |before| Arc::clone(&before.in_flight)),
        }
    }

    /// Whether it can serve what is bound to it.
    pub(crate) fn is_up(&self) -> bool {
        self.plan.is_healthy && self.plan.state != BackendState::Maint
    }

    /// Whether one more may be under way.
    pub(crate) fn has_room(&self) -> bool {
        let permits = self.permits.as_ref();
        permits.is_none_or(|permits| permits.has_free())
    }

    /// Whether it takes new clients.
    pub(crate) fn takes_new(&self) -> bool {
        self.plan.is_healthy && self.plan.state == BackendState::Ready && self.plan.weight > 0
    }

    /// Attempts of this worker that are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts one more, as long as what is returned lives.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
