//! A change of plan: made whole before anything has changed, then put in force.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::MutexGuard, time::timeout};
use tpp::{config::Gateway, lending::WorkerSettings, plan::Sealed};
use tracing::warn;

use super::{
    Plans, Prepared,
    compile::{Addresses, Inputs, Name},
    ejector::note_coming,
    is_healthy,
    names::{known, resolve},
    prepare,
    targets::targets,
};
use crate::{fleet::Order, health::Begin};

/// How long the workers may take to act on a plan. One that is stopped takes longer, and sends nothing meanwhile.
const REACH_LIMIT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long the first check of a new backend may take before it is put in force unseen, and gets nothing until it has been seen.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// One who may change the plan; others wait.
pub(crate) struct Turn<'a> {
    plans: &'a Plans,
    current: MutexGuard<'a, Inputs>,
}

/// What came of putting a plan in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Of the plan.
    pub generation: u64,
    /// Seats of workers that respond and do not act on it yet.
    pub lagging: Vec<usize>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(plans: &'a Plans, current: MutexGuard<'a, Inputs>) -> Self {
        Self { plans, current }
    }

    /// Of what the plan in force is made.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.current
    }

    /// Whether a plan of `inputs` would be another one.
    pub(super) fn would_change(&self, inputs: &Inputs) -> bool {
        let plan = self.plans.in_force();
        let checks = &self.plans.checks;
        let mut backends = plan.backends.iter();
        inputs.addresses != self.current.addresses
            || inputs.out != self.current.out
            || backends.any(|one| one.is_healthy != is_healthy(checks, &one.id))
    }

    /// Makes a plan of `inputs`, and changes nothing. Those of its backends that are new are checked meanwhile, so that one that lives
    /// can serve at once.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) async fn prepare(&self, inputs: Inputs) -> Result<Prepared, String> {
        let plans = self.plans;
        let known = plans.checks.seen();
        let targets = targets(&inputs);
        let ids = targets.iter().map(|one| one.id.clone());
        let new: Vec<_> = ids.filter(|id| !known.contains_key(id)).collect();
        plans.checks.replace(targets, |_| Begin::Unproved);
        // One that has not been seen by then is down until it is.
        let _ = timeout(FIRST_LOOK, plans.checks.looked_at(&new)).await;
        let permits = &mut plans.permits();
        let prepared = prepare(&plans.stock, &plans.checks, &plans.pools, permits, inputs);
        if prepared.is_err() {
            self.forget();
        }
        prepared
    }

    /// What was prepared is not to be: the checks go on with what is in force.
    pub(crate) fn forget(&self) {
        let targets = targets(&self.current);
        self.plans.checks.replace(targets, |_| Begin::Unproved);
    }

    /// Puts a plan in force. Tokens that are none of its own are out of use first. Returns when every worker that responds acts on it,
    /// or has taken too long.
    ///
    /// # Errors
    /// If a pool has no room for its sessions; then all is as it was.
    pub(crate) async fn publish(mut self, prepared: Prepared) -> Result<Reached, String> {
        let Prepared {
            sealed,
            plan,
            inputs,
            pools,
        } = prepared;
        let plans = self.plans;
        let kept = pools.ids();
        if let Err(reason) = plans.pools.change(pools).await {
            self.forget();
            return Err(reason);
        }
        *self.current = inputs;
        note_coming(&plans.stock, Some(&plans.in_force()), &plan);
        plans.note(plan);
        let generation = sealed.generation();
        let reached = self.send(sealed).await;
        plans.pools.let_go(&kept, generation).await;
        plans.changes.send_replace(());
        Ok(reached)
    }

    async fn send(&self, sealed: Sealed) -> Reached {
        let plans = self.plans;
        let generation = sealed.generation();
        // A fleet that has ended needs none.
        plans.fleet.tell(Order::Plan(Arc::new(sealed)));
        let deadline = Instant::now() + REACH_LIMIT;
        loop {
            let is_out = plans.stock.region().plan_generation() >= generation;
            let lagging = plans.lagging(generation);
            let is_late = Instant::now() > deadline;
            if (is_out && lagging.is_empty()) || is_late {
                if is_late {
                    warn!(
                        generation,
                        "a worker does not act on the new plan yet: it sends nothing by the old one's tokens"
                    );
                }
                return Reached {
                    generation,
                    lagging,
                };
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// What a plan of `gateway` is made of. Names that are new are looked up; those without an address come along.
pub(crate) async fn inputs_for(
    turn: &Turn<'_>,
    settings: WorkerSettings,
    gateway: Arc<Gateway>,
) -> (Inputs, BTreeSet<Name>) {
    let mut inputs = Inputs {
        settings,
        gateway,
        addresses: Addresses::default(),
        out: turn.current.out.clone(),
    };
    inputs.addresses = known(inputs.names(), &turn.current.addresses, None);
    let mut addresses = std::mem::take(&mut inputs.addresses);
    let unresolved = resolve(inputs.names(), &mut addresses).await;
    inputs.addresses = addresses;
    (inputs, unresolved)
}
