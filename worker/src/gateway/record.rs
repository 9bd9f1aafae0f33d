//! What is noted of a request besides its answer.

use tpp::shared::WaitEnd;
use tracing::info;

use crate::{gateway::held::Held, worker::Worker};

/// A wait was ended because its bound was over: counts it under its reason, and logs it if that was not done just now.
#[cold]
pub(crate) fn wait_ended(worker: &Worker, held: Option<&Held>, end: WaitEnd) {
    worker.counters().waits_ended.add(end);
    if worker.wait_muffler.may_speak() {
        info!(
            worker = worker.seat(),
            slot = held.map(|held| held.lease().slot().get()),
            held_ms = held.map(|held| worker.clock.now().saturating_sub(held.since())),
            reason = end.label(),
            "wait ended"
        );
    }
}
