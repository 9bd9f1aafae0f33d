//! What a request says of the backend that it was sent to: `[outlier]`. The supervisor judges what is counted here.

use crate::{
    gateway::flight::Flight,
    http1::answer::{Answer, Head},
    view::backend::Backend,
};

/// The head of an answer came from it.
pub(super) fn note_answer(flight: &Flight<'_>, backend: &Backend, head: &Head) {
    match head {
        Head::Final(Answer { status, .. }) => note(flight, backend, *status >= 500),
        Head::Switched => note(flight, backend, false),
        Head::Interim { .. } => {}
    }
}

/// It took no connection, or gave no answer, or not all of it.
pub(super) fn note_failure(flight: &Flight<'_>, backend: &Backend) {
    note(flight, backend, true);
}

fn note(flight: &Flight<'_>, backend: &Backend, has_failed: bool) {
    // One that has no others is not left out.
    if let Some(consecutive) = backend.consecutive
        && flight.group.members.len() > 1
    {
        let desk = &flight.client.worker.desk;
        desk.note_conduct(backend.plan.row, has_failed, consecutive);
    }
}
