//! Whether to ask a host's backends at all, over all workers: `circuit_breaker`. What is asked is told of, wherever the request
//! ends: by its answer's status, by its failure, or, dropped with the flight, as nothing learned.

use tpp::clock::monotonic_millis;

use crate::{
    gateway::{
        flight::{Failure, Flight},
        rate::whole_seconds,
    },
    http1::answer::{Answer, Head},
    message::reply::Reply,
    view::bounds::BreakerBound,
};

/// Asks the host's breaker for leave.
pub(super) fn ask(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let Some(bounds) = &flight.site.bounds else {
        return Ok(());
    };
    let Some(BreakerBound { at, policy }) = &bounds.breaker else {
        return Ok(());
    };
    let asked = flight
        .client
        .worker
        .desk
        .ask(*at, policy.rules, monotonic_millis());
    match asked {
        Ok(asked) => {
            flight.asked = Some(asked);
            Ok(())
        }
        Err(tripped) => {
            let reply = Reply::unavailable("the circuit breaker is open: its backends have failed");
            let reply = reply.with_fields("X-Circuit-Breaker: open\r\n");
            Err(Failure::Reply(reply.after(whole_seconds(tripped.after))))
        }
    }
}

/// An answer came: one that says that the backend failed is a failure.
pub(super) fn note_answer(flight: &mut Flight<'_>, head: &Head) {
    let has_failed = matches!(head, Head::Final(Answer { status, .. }) if *status >= 500);
    if !matches!(head, Head::Interim { .. }) {
        tell(flight, has_failed);
    }
}

/// No answer came, or not all of it, and that is the backends' doing.
pub(super) fn note_failure(flight: &mut Flight<'_>) {
    tell(flight, true);
}

fn tell(flight: &mut Flight<'_>, has_failed: bool) {
    let Some(asked) = flight.asked.take() else {
        return;
    };
    let bounds = flight.site.bounds.as_ref();
    if let Some(bound) = bounds.and_then(|bounds| bounds.breaker.as_ref())
        && asked.tell(has_failed, bound.policy, monotonic_millis())
    {
        tracing::warn!(
            worker = flight.client.worker.seat(),
            host = flight.site.plan.host.domain,
            "circuit breaker opened"
        );
    }
}
