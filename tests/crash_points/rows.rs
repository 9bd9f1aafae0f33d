//! What is limited by name: what a worker has under way there is given back when it dies.

use std::time::Duration;

use tpp::{
    lending::{BreakerAt, RowKeys},
    limits::{BreakerPolicy, BreakerRules, BreakerState},
    region::RowGeometry,
};

use crate::scene::{Scene, Verdict};

/// The rows that are given first.
pub(crate) const HOST: usize = 0;
pub(crate) const BACKEND: usize = 0;
pub(crate) const PAIR: usize = 0;
pub(crate) const BREAKER: BreakerAt = BreakerAt::Host(HOST);
/// One failure opens it, one probe is under way at most.
pub(crate) const POLICY: BreakerPolicy = BreakerPolicy {
    rules: BreakerRules {
        failure_threshold: 1,
        recovery: Duration::from_secs(1),
        half_open: 1,
    },
    shares: None,
};
/// When the breaker opened, and when it lets a probe through, milliseconds.
const OPENED: u64 = 1000;
pub(crate) const DUE: u64 = 2000;

/// Few, so that a look at all of the region stays cheap.
const FEW: RowGeometry = RowGeometry {
    hosts: 2,
    backends: 2,
    pairs: 2,
    groups: 2,
    rate_sets: 1,
};

/// A host, a backend, the pair of them, and the host's breaker open.
pub(crate) fn add_rows(scene: &mut Scene) {
    scene.stock.region().add_rows(FEW).expect("room");
    let keys = RowKeys {
        hosts: vec![1],
        backends: vec![2],
        pairs: vec![3],
        groups: Vec::new(),
    };
    scene.stock.give_rows(1, &keys).expect("rows");
    let asked = scene.witness.ask(BREAKER, POLICY.rules, OPENED);
    let has_opened = asked.expect("closed").tell(true, POLICY, OPENED);
    assert!(has_opened, "one failure opens it");
}

/// Nothing of the dead is under way, and the breaker lets somebody through: at once if it had noted its probe, or else when the
/// probe's time is over; never two.
pub(crate) fn judge_rows(scene: &Scene) -> Verdict {
    if scene.stock.region().hosts().is_none() {
        return Ok(());
    }
    let under_way = (
        scene.stock.host_totals(HOST).in_flight,
        scene.stock.backend_in_flight(BACKEND),
    );
    if under_way != (0, 0) {
        return Err(format!("{under_way:?} under way by nobody"));
    }
    let ask = |now| scene.witness.ask(BREAKER, POLICY.rules, now).ok();
    for now in [DUE, DUE + 2000] {
        if let Some(_asked) = ask(now) {
            let is_probe = scene.witness.breaker_state(BREAKER) == BreakerState::HalfOpen;
            return if is_probe && ask(now).is_some() {
                Err("two probes at once".to_owned())
            } else {
                Ok(())
            };
        }
    }
    Err("nobody is let through any more".to_owned())
}
