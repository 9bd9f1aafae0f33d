//! The request as the upstream gets it: its head, the token, and what of the body is there.

use crate::{
    gateway::{
        attempt::Attempt,
        flight::{Failure, Flight, Next},
    },
    message::reply::Reply,
};

/// Writes the request for the upstream, unless the time to do so is over.
pub(crate) fn stamp(flight: &mut Flight<'_>, attempt: &mut Attempt) -> Result<(), Failure> {
    // A request is never sent without a token.
    let held = flight
        .client
        .held
        .as_mut()
        .ok_or(Failure::Over(Next::Drop))?;
    if !held.lease().may_stamp() {
        flight.client.held = None;
        let reply = Reply::no_token("the time of its tokens is over");
        return Err(Failure::Reply(reply));
    }
    let (end_of_head, version) = held.end_of_head();
    attempt.version = version;
    let outbox = &mut attempt.wire.outbox;
    outbox.reserve(flight.head.len() + end_of_head.len());
    outbox.extend_from_slice(flight.head);
    outbox.extend_from_slice(end_of_head);
    flight.upload.replay(outbox);
    Ok(())
}
