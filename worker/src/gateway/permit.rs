//! How many requests may be under way at once, over all workers: `max_concurrent`, of a host and of a backend. A permit is a slot of a
//! pool without tokens, so what holds for leases holds for it: in order of arrival, and back wherever the request ends.

use std::{hint::cold_path, sync::Arc, time::Duration};

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
    view::backend::Backend,
    wire::attend::{AtEnd, Interrupt, attend},
};

/// Whether the request is one of those that may be under way at its host. If not, it has to wait for that.
pub(super) fn permit(flight: &mut Flight<'_>) -> bool {
    let Some(bounds) = &flight.site.bounds else {
        return true;
    };
    let Some(permits) = &bounds.permits else {
        return true;
    };
    cold_path();
    let permit = permits.try_lease();
    let has_permit = permit.is_some();
    flight.client.holdings.sheet().permit = permit;
    note_begin(flight, has_permit)
}

/// Waits until it is.
pub(super) async fn await_permit(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let bounds = flight.site.bounds.as_ref();
    let Some(permits) = bounds.and_then(|bounds| bounds.permits.clone()) else {
        return Ok(());
    };
    let permit = stand_in_line(flight, &permits).await?;
    flight.client.holdings.sheet().permit = Some(permit);
    note_begin(flight, true);
    Ok(())
}

/// The same as [`permit`] at a backend that was chosen. The one of the backend before is given back.
pub(super) fn permit_at(flight: &mut Flight<'_>, backend: &Backend) -> bool {
    let Some(permits) = &backend.permits else {
        return true;
    };
    cold_path();
    let is_there = |lease: &Lease| lease.is_of(permits.pool_id());
    let sheet = flight.client.holdings.sheet();
    if sheet.backend_permit.as_ref().is_some_and(is_there) {
        return true;
    }
    // Out before in: two that hold what the other waits for would wait for ever.
    sheet.backend_permit = None;
    sheet.backend_permit = permits.try_lease();
    let has_permit = sheet.backend_permit.is_some();
    note_begin(flight, has_permit)
}

/// Waits for that.
pub(super) async fn await_permit_at(
    flight: &mut Flight<'_>,
    backend: &Backend,
) -> Result<(), Failure> {
    let Some(permits) = &backend.permits else {
        return Ok(());
    };
    let permit = stand_in_line(flight, permits).await?;
    flight.client.holdings.sheet().backend_permit = Some(permit);
    note_begin(flight, true);
    Ok(())
}

fn note_begin(flight: &mut Flight<'_>, has_permit: bool) -> bool {
    if has_permit {
        let now = flight.client.worker.clock.now();
        flight.client.holdings.sheet().permitted_at = Some(now);
    }
    has_permit
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
    let _waits = flight.client.holdings.tally().map(Tally::wait);
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
    if let Some(sheet) = flight.client.holdings.get()
        && let Some(since) = sheet.permitted_at
        && let Some(bounds) = &flight.site.bounds
    {
        cold_path();
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
