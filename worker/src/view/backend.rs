//! A backend, as one plan describes it.

use std::sync::Arc;

use tpp::{
    clock::monotonic_millis,
    config::BackendState,
    lending::{Desk, WorkerSettings},
    limits::Conduct,
    plan::BackendPlan,
};

use crate::upstream::Upstream;

/// A whole share, as [`Backend::share`] has it.
pub(crate) const WHOLE: u64 = 1000;

/// A backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) plan: BackendPlan,
    pub(crate) upstream: Upstream,
    /// One for each request that it may have under way, over all workers; `None`: as many as come.
    pub(crate) permits: Option<Arc<Desk>>,
    /// Failures in a row for which it may be left out for a while; `None`: it never is.
    pub(crate) consecutive: Option<u64>,
    /// Where all workers' words lie.
    pub(super) desk: Arc<Desk>,
}

impl Backend {
    /// That of `plan`; the one `before` it is the same in an older plan.
    pub(crate) fn new(
        plan: BackendPlan,
        settings: &WorkerSettings,
        desk: &Arc<Desk>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let upstream = match before {
            Some(before)
                if before.plan.upstream == plan.upstream && before.plan.proxy == plan.proxy =>
            {
                before.upstream.moved(&plan.places)
            }
            _ => Upstream::new(&plan, settings.workers),
        };
        Self {
            permits: plan.permits.and_then(|pool| desk.open(pool)),
            plan,
            upstream,
            consecutive: settings
                .outlier
                .enabled
                .then_some(settings.outlier.consecutive.into()),
            desk: Arc::clone(desk),
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
        self.plan.takes_new()
    }

    /// Whether it is left out for a while, for what it has failed.
    pub(crate) fn is_out(&self) -> bool {
        let conduct = self.consecutive.and_then(|_| self.conduct());
        conduct.is_some_and(|conduct| conduct.is_out(monotonic_millis))
    }

    /// How much of its weight it gets, in thousandths: less than [`WHOLE`] as long as it starts slowly.
    pub(crate) fn share(&self) -> u64 {
        let whole_after = self.plan.slow_start.as_millis();
        if whole_after == 0 {
            return WHOLE;
        }
        let begun = self.conduct().map_or(0, Conduct::up_since);
        if begun == 0 {
            return WHOLE;
        }
        grown(monotonic_millis().saturating_sub(begun).into(), whole_after)
    }

    /// Whether it takes its turn: one that starts slowly lets some pass by.
    pub(crate) fn takes_turn(&self) -> bool {
        let share = self.share();
        share == WHOLE || fastrand::u64(..WHOLE) < share
    }

    /// Requests under way to it, over all workers.
    pub(crate) fn in_flight(&self) -> u64 {
        self.desk.backend_in_flight(self.plan.row)
    }

    fn conduct(&self) -> Option<&Conduct> {
        self.desk.backend_row(self.plan.row).map(|row| &row.conduct)
    }
}

/// The share of one that has served for `age`, and has the whole after that time. In any unit.
pub(super) fn grown(age: u128, whole_after: u128) -> u64 {
    if age >= whole_after {
        return WHOLE;
    }
    // Less than a whole: it fits.
    u64::try_from(age * u128::from(WHOLE) / whole_after).map_or(WHOLE, |share| share.max(1))
}
