//! How many requests may be under way at once, over all workers: `max_concurrent`, of a host and of a backend. A permit is a slot of a
//! pool without tokens, so what holds for leases holds for it: in order of arrival, and back wherever the request ends.

use std::{sync::Arc, time::Duration};

use tpp::{
    lending::{Desk, Lease},
    pool::Census,
    shared::Rejection,
};

use crate::{
    clock::millis,
    gateway::{
        flight::{Failure, Flight, Next},
        journal,
        tally::Tally,
    },
    message::reply::Reply,
    rarely::rarely,
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
    let permit = match permits.try_lease() {
        Some(permit) => permit,
        None => rarely(stand_in_line(flight, permits)).await?,
    };
    flight.permitted_at = Some(flight.client.worker.clock.now());
    Ok(permit)
}

async fn stand_in_line(flight: &mut Flight<'_>, permits: &Arc<Desk>) -> Result<Lease, Failure> {
    let site = Arc::clone(&flight.site);
    let queue = &site.plan.host.queue;
    if permits.waiting() >= queue.max_waiting as u64 {
        let cause = if queue.max_waiting > 0 {
            Rejection::Queue
        } else {
            Rejection::Concurrency
        };
        flight.count_refusal(cause);
        return Err(refuse(
            flight,
            permits,
            "as many requests are under way as may be",
        ));
    }
    let _waits = flight.tally.as_ref().map(Tally::wait);
    let client = &mut *flight.client;
    client.timer.standing.join_line();
    let begun = journal::wait(client);
    let limit = client.bounded(queue.wait_timeout);
    let waited = attend(
        &client.worker.clock,
        &client.timer,
        &mut client.wire,
        AtEnd::Leave,
        limit,
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
            if let Some(reply) = client.give_up() {
                return Err(Failure::Reply(reply));
            }
            flight.count_refusal(Rejection::Queue);
            Err(refuse(
                flight,
                permits,
                "none of those under way ended in time",
            ))
        }
        Err(Interrupt::Cut) => Err(Failure::Reply(Reply::no_token("tpp is stopping"))),
    }
}

/// The request is over: notes how long it had its permit, for those who are told when to come again.
pub(super) fn note_end(flight: &Flight<'_>) {
    if let Some(since) = flight.permitted_at
        && let Some(bounds) = &flight.site.bounds
    {
        let held = flight.client.worker.clock.now().saturating_sub(since);
        bounds.holds.note(Duration::from_millis(held));
    }
}

/// By the host's `reject_status`, with word of when one who comes again may find room: when all who wait now, and then one more, have
/// had theirs, by the time that requests have come to take.
fn refuse(flight: &Flight<'_>, permits: &Desk, why: &'static str) -> Failure {
    let now = flight.client.worker.clock.now();
    let one_more = || {
        let census = permits.census();
        Census {
            waiting: census.waiting + 1,
            ..census
        }
    };
    let bounds = flight.site.bounds.as_ref();
    let seconds = bounds.map_or(1, |bounds| bounds.holds.retry_after(now, one_more));
    let reply = match flight.site.plan.host.reject_status {
        503 => Reply::unavailable(why),
        _ => Reply::too_many_requests(why),
    };
    Failure::Reply(reply.after(seconds))
}
