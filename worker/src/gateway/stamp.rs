//! The request as the upstream gets it: its head, with what the gateway says in it, the token, and what of the body is there.

use crate::{
    gateway::{
        attempt::Attempt,
        client::Client,
        flight::{Failure, Flight, Next},
    },
    http1::write::{self, Stamp},
    message::{head::Head, reply::Reply},
    rarely::{Likely as _, seldom},
};

/// Most tpps that a request may have gone through before: some stand behind one another on purpose, none behind itself.
const MOST_HOPS: usize = 4;

/// Of a request without a token of ours.
const END_OF_HEAD: &[u8] = b"\r\n";

/// Refuses what goes round in a circle, before it takes a token in each round.
pub(crate) fn check_hops(head: &Head) -> Result<(), Reply> {
    if head.hops > MOST_HOPS {
        return Err(Reply::loop_detected(
            "the request has come through tpp too often: does its upstream lead back to it?",
        ));
    }
    Ok(())
}

/// Writes the request for the upstream. False: the time to send its token is over, or it was replaced meanwhile and the new one must
/// not go there.
pub(crate) fn stamp(flight: &mut Flight<'_>, attempt: &mut Attempt) -> Result<bool, Failure> {
    let Client {
        held,
        settings,
        address,
        address_lines,
        peer,
        worker,
        notes,
        secured,
        ..
    } = &mut *flight.client;
    let stamp = Stamp {
        client: address,
        client_lines: address_lines.as_bytes(),
        trust_forwarded: settings.trust_forwarded
            || peer.is_some_and(|peer| settings.trusted_proxies.contains(peer)),
        passes_authorization: flight.group.pool.is_none(),
        replaces: flight.group.pool.as_ref().and_then(|pool| pool.header()),
        host: attempt.backend.upstream.host(),
        is_secure: secured.is_some(),
        request_id: notes.made_id_line(),
        trace: notes.trace_line(),
    };
    if flight.group.pool.is_none() {
        attempt.wire.reserve_outbox();
        let outbox = &mut attempt.wire.outbox;
        write::request(flight.head, flight.request, stamp, END_OF_HEAD, outbox);
        flight.upload.replay(outbox);
        return Ok(true);
    }
    // A request is never sent without a token.
    let lent = held.as_mut().ok_or(Failure::Over(Next::Drop)).likely()?;
    if seldom(!lent.lease().may_stamp()) {
        let has_lapsed = lent.has_lapsed();
        *held = None;
        if has_lapsed {
            // Another one is lent, when there is one.
            return Ok(false);
        }
        return Err(Failure::Reply(Reply::no_token("it was taken back")));
    }
    let Some((end_of_head, version)) = lent.end_of_head(attempt.origin, worker.clock.monotonic())
    else {
        return Ok(false);
    };
    attempt.version = version;
    attempt.wire.reserve_outbox();
    let outbox = &mut attempt.wire.outbox;
    write::request(flight.head, flight.request, stamp, end_of_head, outbox);
    flight.upload.replay(outbox);
    Ok(true)
}
