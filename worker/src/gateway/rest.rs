//! A key that the upstream has had enough of: it rests for as long as the upstream says, in all workers, and the request goes on
//! with another one.

use std::{hint::cold_path, time::Duration};

use crate::gateway::flight::Flight;

/// Has the key rest that the request was sent with, if the answer asked for a wait. True: the request is to be sent with another one, and
/// its lease is given back; if not, the answer is passed on.
pub(crate) fn rests(flight: &mut Flight<'_>, asked_wait: Option<Duration>) -> bool {
    let Some(wait) = asked_wait else {
        return false;
    };
    cold_path();
    let pool = flight.group.pool.as_ref();
    if !pool.is_some_and(|pool| pool.desk.terms().has_keys()) {
        return false;
    }
    let Some(held) = &mut flight.client.held else {
        return false;
    };
    held.spare(wait);
    let goes_on = flight.upload.can_replay();
    if goes_on {
        flight.client.held = None;
    }
    goes_on
}
