//! How many requests may be under way at once, over all workers: `max_concurrent`, of a host and of a backend. A permit is a slot of a
//! pool without tokens, so what holds for leases holds for it: in order of arrival, and back wherever the request ends.

use std::sync::Arc;

use tpp::{
    lending::{Desk, Lease},
    shared::Rejection,
};

use crate::{
    clock::millis,
    gateway::{
        flight::{Failure, Flight, Next},
        journal,
    },
    message::reply::Reply,
    wire::attend::{AtEnd, Interrupt, attend},
};

/// Sees to it that the request is one of those that may be under way at its host.
pub(super) async fn permit(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let Some(bounds) = &flight.site.bounds else {
        return Ok(());
    };
    let Some(permits) = &bounds.permits else {
        return Ok(());
    };
    let permits = Arc::clone(permits);
    flight.permit = Some(take(flight, &permits).await?);
    Ok(())
}

/// The same at a backend that was chosen. The one of the backend before is given back.
pub(super) async fn permit_of(flight: &mut Flight<'_>, permits: &Arc<Desk>) -> Result<(), Failure> {
    let is_there = |lease: &Lease| lease.is_of(permits.pool_id());
    if flight.backend_permit.as_ref().is_some_and(is_there) {
        return Ok(());
    }
    flight.backend_permit = None;
    flight.backend_permit = Some(take(flight, permits).await?);
    Ok(())
}

async fn take(flight: &mut Flight<'_>, permits: &Arc<Desk>) -> Result<Lease, Failure> {
    if let Some(permit) = permits.try_lease() {
        return Ok(permit);
    }
    let site = Arc::clone(&flight.site);
    let queue = &site.plan.host.queue;
    if permits.waiting() >= queue.max_waiting as u64 {
        let cause = if queue.max_waiting > 0 {
            Rejection::Queue
        } else {
            Rejection::Concurrency
        };
        flight.count_refusal(cause);
        return Err(refuse(flight, "as many requests are under way as may be"));
    }
    let client = &mut *flight.client;
    client.timer.standing.join_line();
    let begun = journal::wait(client);
    let waited = attend(
        &client.worker,
        &client.timer,
        &mut client.wire,
        AtEnd::Leave,
        queue.wait_timeout,
        permits.join(),
    )
    .await;
    let spared_until = client.worker.clock.now() + millis(client.settings.drain_timeout);
    client.timer.standing.leave_line(spared_until);
    if let Some(begun) = begun {
        client.notes.waited_in_queue(begun.elapsed());
    }
    match waited {
        Ok(permit) => Ok(permit),
        Err(Interrupt::Gone) => {
            client.worker.counters().clients_left.add(1);
            Err(Failure::Over(Next::Drop))
        }
        Err(Interrupt::Late) => {
            flight.count_refusal(Rejection::Queue);
            Err(refuse(flight, "none of those under way ended in time"))
        }
        Err(Interrupt::Cut) => Err(Failure::Reply(Reply::no_token("tpp is stopping"))),
    }
}

/// By the host's `reject_status`.
fn refuse(flight: &Flight<'_>, why: &'static str) -> Failure {
    let reply = match flight.site.plan.host.reject_status {
        503 => Reply::unavailable(why),
        _ => Reply::too_many_requests(why),
    };
    Failure::Reply(reply)
}
