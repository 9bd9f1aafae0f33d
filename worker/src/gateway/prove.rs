//! Before a body that cannot be sent again: a token that may be stale is renewed first.
//!
//! A server that restarts has forgotten all its tokens, and each of them is found out by a request that is refused. Most are
//! sent again, and nobody notices; a longer upload has to be failed. So what a request that was sent again has shown is
//! remembered: tokens drawn earlier at the same place are not tried out on an upload. An application's own refusal shows
//! nothing, for no fresh token cures it.

use crate::gateway::flight::{Failure, Flight};

/// Whether the request cannot be sent again with another token.
pub(crate) fn is_sent_once(flight: &Flight<'_>) -> bool {
    flight.upload.may_outgrow() && flight.group.pool.is_some()
}

/// Has the token renewed that was refused before, or is no younger than another one that was. If no login comes of it, the token is
/// tried all the same.
pub(crate) async fn prove(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let client = &mut *flight.client;
    let Some(held) = &mut client.held else {
        return Ok(());
    };
    let (origin, version) = held.origin();
    let lease = held.lease();
    let doubts = &client.worker.doubts;
    let is_in_doubt = lease.is_refused(version) || doubts.hold(origin, lease.drawn_at());
    if is_in_doubt && !lease.is_vouched(version) && client.newer_than(version).await? {
        // Should the fresh one be refused as well, the token is not to blame.
        flight.was_refused = true;
    }
    Ok(())
}
