//! Whether a request that reached no backend may try another one.

use std::sync::Arc;

use crate::{gateway::flight::Flight, view::backend::Backend};

/// `backend` could not be reached: whether another one may be tried.
pub(super) fn may_retry(flight: &mut Flight<'_>, backend: &Arc<Backend>) -> bool {
    let worker = &flight.client.worker;
    let rules = &flight.client.settings.retry;
    if flight.group.members.len() < 2 || flight.tried.len() >= rules.attempts as usize {
        return false;
    }
    if flight.retrying.is_none() {
        flight.retrying = worker
            .retries
            .begin(rules.budget_percent, worker.connections());
    }
    if flight.retrying.is_some() {
        flight.tried.push(Arc::clone(backend));
    }
    flight.retrying.is_some()
}
