//! Leaves backends out that fail real requests, and has those that come up begin slowly: what the workers count is judged here alone,
//! so how many of a tag are out is bound by one who decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tpp::{
    clock::monotonic_millis,
    config::Outlier,
    lending::Stock,
    limits::Conduct,
    plan::{BackendPlan, Plan},
};
use tracing::warn;

use super::Plans;
use crate::health::{Met, Move, Standing, moves};

/// Whether what workers count is heeded.
fn is_judged(plan: &Plan) -> bool {
    plan.settings.outlier.enabled && !plan.is_plain()
}

fn conduct<'s>(stock: &'s Stock, backend: &BackendPlan) -> Option<&'s Conduct> {
    stock.backend_row(backend.row).map(|row| &row.conduct)
}

/// The backends of `plan` that are left out at `now`.
fn out_at(stock: &Stock, plan: &Plan, now: u64) -> BTreeSet<String> {
    let backends = plan.backends.iter();
    let out = backends.filter(|one| {
        is_judged(plan) && conduct(stock, one).is_some_and(|words| words.is_out(|| now))
    });
    out.map(|one| one.id.clone()).collect()
}

impl Plans {
    /// Judges what the workers counted, by the plan in force. Returns who is left out now, and how long until one of them comes back.
    pub(super) fn judge(&self) -> (BTreeSet<String>, Option<Duration>) {
        let plan = self.in_force();
        let rules = &plan.settings.outlier;
        let now = monotonic_millis();
        if is_judged(&plan) {
            self.carry_out(&plan, rules, now);
        }
        let out = out_at(&self.stock, &plan, now);
        let backends = plan.backends.iter().filter(|one| out.contains(&one.id));
        let ends = backends.filter_map(|one| conduct(&self.stock, one).map(Conduct::out_until));
        let next = ends
            .min()
            .map(|end| Duration::from_millis(end.saturating_sub(now) + 1));
        (out, next)
    }

    fn carry_out(&self, plan: &Plan, rules: &Outlier, now: u64) {
        let (mut words, mut standings) = (Vec::new(), Vec::new());
        for one in &plan.backends {
            let Some(conduct) = conduct(&self.stock, one) else {
                return;
            };
            words.push((one, conduct));
            standings.push(Standing {
                tags: one.tags.clone(),
                can_serve: one.takes_new(),
                failures: conduct.failures(),
                out_until: conduct.out_until(),
                times: conduct.times(),
            });
        }
        for (at, step) in moves(rules, &standings, now) {
            let (one, conduct) = words[at];
            match step {
                Move::Eject { until, times } => {
                    conduct.eject(now, until, times);
                    let (failures, seconds) =
                        (standings[at].failures, (until - now).div_ceil(1000));
                    warn!(
                        backend = one.id,
                        failures, seconds, times, "backend is left out: it fails requests"
                    );
                }
                // Too few others of its tags serve.
                Move::Readmit => conduct.readmit(now),
            }
        }
    }

    /// The backends of the plan in force that take new clients: they are up, ready, have a weight, and are not left out.
    pub(crate) fn serving(&self) -> BTreeSet<String> {
        let plan = self.in_force();
        let out = out_at(&self.stock, &plan, monotonic_millis());
        let serving = plan.backends.iter().filter(|one| one.takes_new());
        let ids = serving.map(|one| one.id.clone());
        ids.filter(|id| !out.contains(id)).collect()
    }

    /// What real requests met at each backend that may be left out for it.
    pub(crate) fn met(&self) -> BTreeMap<String, Met> {
        let now = monotonic_millis();
        let plan = self.in_force();
        let backends = plan.backends.iter().filter(|_| is_judged(&plan));
        let met = backends.filter_map(|one| {
            let conduct = conduct(&self.stock, one)?;
            let met = Met {
                out: conduct.ejection(now),
                ejections: conduct.ejections(),
            };
            Some((one.id.clone(), met))
        });
        met.collect()
    }
}

/// Notes which backends of `plan` come up with it. `before` is the plan that it follows: whoever serves when there was none, does so as
/// a whole at once.
pub(super) fn note_coming(stock: &Stock, before: Option<&Plan>, plan: &Plan) {
    let Some(before) = before else {
        return;
    };
    let served: BTreeSet<&str> = before
        .backends
        .iter()
        .filter(|one| one.takes_new())
        .map(|one| one.id.as_str())
        .collect();
    let coming = plan.backends.iter().filter(|one| {
        !one.slow_start.is_zero() && one.takes_new() && !served.contains(one.id.as_str())
    });
    for one in coming {
        if let Some(conduct) = conduct(stock, one) {
            conduct.comes_up(monotonic_millis());
        }
    }
}
