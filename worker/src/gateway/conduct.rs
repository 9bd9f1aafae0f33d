//! What a request says of the backend that it was sent to: `[outlier]`. The supervisor judges what is counted here.

use std::hint::cold_path;

use crate::{gateway::flight::Flight, http1::answer::Head, view::backend::Backend};

/// The head of an answer came from it. One that says that it failed is a failure at once; any other a success when all of the
/// answer has come ([`note_whole`]), but for that of a tunnel, which has no whole.
pub(super) fn note_head(flight: &Flight<'_>, backend: &Backend, head: &Head) {
    match head {
        Head::Final(_) if head.is_failure() => note(flight, backend, true),
        Head::Switched => note(flight, backend, false),
        Head::Final(_) | Head::Interim { .. } => {}
    }
}

/// All of the answer with that head has come.
pub(super) fn note_whole(flight: &Flight<'_>, backend: &Backend, head: &Head) {
    if matches!(head, Head::Final(_)) && !head.is_failure() {
        note(flight, backend, false);
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
        cold_path();
        let desk = &flight.client.worker.desk;
        desk.note_conduct(backend.plan.row, has_failed, consecutive);
    }
}
