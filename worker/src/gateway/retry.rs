//! Whether a request that reached no backend, or that none has looked at, may try another one.

use std::{io, sync::Arc};

use tpp::shared::Failing;

use crate::{
    gateway::{
        attempt::Attempt,
        conduct,
        flight::{Failure, Flight},
    },
    http2,
    message::reply::Reply,
    view::backend::Backend,
};

/// `backend` could not be reached: whether another one may be tried.
pub(super) fn may_retry(flight: &mut Flight<'_>, backend: &Arc<Backend>) -> bool {
    let worker = &flight.client.worker;
    let rules = &flight.client.settings.retry;
    let trouble = flight.trouble.get_or_insert_default();
    if flight.group.members.len() < 2 || trouble.tried.len() >= rules.attempts as usize {
        return false;
    }
    if trouble.retrying.is_none() {
        trouble.retrying = worker
            .retries
            .begin(rules.budget_percent, worker.connections());
    }
    if trouble.retrying.is_some() {
        trouble.tried.push(Arc::clone(backend));
    }
    trouble.retrying.is_some()
}

/// Whether `error` says that the request was not even looked at, and it is to be sent again, whatever it asks for: on another
/// connection, and then to another backend, as if this one had not been reached.
pub(super) fn was_turned_away(
    flight: &mut Flight<'_>,
    attempt: &Attempt,
    error: &io::Error,
) -> bool {
    if attempt.state.heard || !flight.upload.can_replay() || !http2::is_unprocessed(error) {
        return false;
    }
    let backend = &attempt.backend;
    backend.upstream.leave(attempt.address);
    if !flight.was_turned_away {
        flight.was_turned_away = true;
        return true;
    }
    if !may_retry(flight, backend) {
        return false;
    }
    if let Some(tally) = flight.client.holdings.tally() {
        tally.failed(Failing::Reset);
    }
    conduct::note_failure(flight, backend);
    let reply = Reply::bad_gateway("the upstream refused the request's stream");
    flight.trouble().unreachable = Some(Failure::Reply(reply));
    true
}
