//! Getting a lease: at once, or in line. And giving it back after the request, where that is the rule.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use tpp::{
    clock::boot_millis,
    config::LeaseMode,
    lending::{Desk, Lease, Waiting},
    shared::Hopeless,
};
use tracing::{debug, error};

use crate::{
    clock::millis,
    fence,
    gateway::{
        client::Client,
        flight::{Failure, Flight, Next},
        held::Held,
        tally::Tally,
    },
    message::reply::Reply,
    view::pool::TokenPool,
    wire::attend::{AtEnd, Interrupt, attend},
    worker::Worker,
};

/// Whether the client holds a lease of the pool that the request's backends draw from, if they draw from one: it may get one now. If
/// not, it has to wait in line.
pub(crate) fn lend(flight: &mut Flight<'_>) -> Result<bool, Failure> {
    let Some(pool) = &flight.group.pool else {
        return Ok(true);
    };
    let held = flight.client.held.as_ref();
    let standing = held.map_or(Standing::None, |held| standing(held, pool));
    match standing {
        Standing::Good => Ok(true),
        standing => acquire(flight, standing),
    }
}

/// What the client's lease is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has none.
    None,
    /// It is of the pool.
    Good,
    /// The server wants its key spared.
    Spared,
    /// It is of another pool.
    Other,
}

fn standing(held: &Held, pool: &TokenPool) -> Standing {
    if held.pool() != pool.desk.pool_id() {
        Standing::Other
    } else if pool.desk.terms().has_keys() && held.lease().is_spared() {
        Standing::Spared
    } else {
        Standing::Good
    }
}

/// Takes a lease in place of what there is, if one is free. Apart from [`lend`], so that a request on a connection that holds one pays
/// for a look alone.
#[inline(never)]
fn acquire(flight: &mut Flight<'_>, standing: Standing) -> Result<bool, Failure> {
    let client = &mut *flight.client;
    let Some(pool) = &flight.group.pool else {
        return Ok(true);
    };
    if standing != Standing::None {
        // One at a time: two that hold what the other waits for would wait for ever. The connection was promised one for all
        // its life: it ends, and the next one begins with the other pool.
        client.held = None;
        let is_other = standing == Standing::Other;
        flight.is_last = is_other && client.settings.lease.mode == LeaseMode::Connection;
    }
    let lease = free_one(&client.worker, pool)?;
    let has_one = lease.is_some();
    if let Some(lease) = lease {
        take_up(client, pool, lease, Duration::ZERO);
    }
    Ok(has_one)
}

/// A lease that is free now and may be used.
fn free_one(worker: &Worker, pool: &TokenPool) -> Result<Option<Lease>, Failure> {
    while let Some(lease) = pool.desk.try_lease() {
        if may_use(worker, &lease)? {
            return Ok(Some(lease));
        }
    }
    Ok(None)
}

/// Sees to it that the client holds a lease of the right pool, however long that takes.
pub(crate) async fn get_lease(flight: &mut Flight<'_>) -> Result<(), Failure> {
    if lend(flight)? {
        return Ok(());
    }
    lend_in_line(flight).await
}

/// Waits for a lease, where [`lend`] found none.
async fn lend_in_line(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let client = &mut *flight.client;
    let Some(pool) = &flight.group.pool else {
        return Ok(());
    };
    let mut waited = Duration::ZERO;
    let lease = loop {
        let begun = Instant::now();
        let waits = client.holdings.tally().map(Tally::wait);
        let served = stand_in_line(client, pool).await;
        drop(waits);
        waited += begun.elapsed();
        client.notes.waited_for_token(waited);
        let lease = served?;
        if may_use(&client.worker, &lease)? {
            break lease;
        }
        if let Some(lease) = free_one(&client.worker, pool)? {
            break lease;
        }
    };
    take_up(client, pool, lease, waited);
    Ok(())
}

/// The client has it, after it waited for so long.
fn take_up(client: &mut Client, pool: &TokenPool, lease: Lease, waited: Duration) {
    client.worker.counters().acquisition_wait.observe(waited);
    debug!(
        worker = client.worker.seat(),
        slot = lease.slot().get(),
        wait_ms = millis(waited),
        "lease acquired"
    );
    client.timer.leash.bind(&lease);
    lease.note_holder(client.peer, client.worker.clock.monotonic());
    pool.note_scarcity();
    client.held = Some(Held::new(lease, &client.worker, pool));
}

/// Whether the lease may be used; if so, the kernel knows until when. One whose time is over is lent to nobody from here on: nobody
/// had looked since.
fn may_use(worker: &Worker, lease: &Lease) -> Result<bool, Failure> {
    if lease.has_lapsed() {
        worker.look_at_deadlines();
        return Ok(false);
    }
    let Some(kill_at) = lease.kill_at() else {
        return Ok(true);
    };
    fence::bring_nearer(kill_at).map_err(|error| {
        error!(worker = worker.seat(), %error, "no timer of the kernel's: shared tokens are not used");
        Failure::Reply(Reply::no_token("this worker cannot use tokens that hosts share"))
    })?;
    Ok(true)
}

/// Gives the lease back after each request, if that is the mode.
pub(crate) fn give_back(flight: &mut Flight<'_>) {
    if flight.client.settings.lease.mode == LeaseMode::Request {
        flight.client.held = None;
    }
}

/// Waits for a slot, unless too many do already. A client that leaves leaves the line at once, and so does one that ends its
/// side: it would hold a place that others wait behind, and cannot be told from one that is gone.
async fn stand_in_line(client: &mut Client, pool: &TokenPool) -> Result<Lease, Failure> {
    let worker = &*client.worker;
    let (desk, counters) = (&pool.desk, worker.counters());
    let settings = &pool.plan.lease;
    let limit = client.bounded(settings.wait_timeout);
    if settings
        .max_waiting
        .is_some_and(|most| desk.waiting() >= most as u64)
    {
        counters.queue_rejections.add(1);
        let reply = Reply::no_token("too many wait for one already");
        let seconds = pool.retry_after(worker.clock.now());
        return Err(Failure::Reply(reply.after(seconds)));
    }
    client.timer.standing.join_line();
    let waited = attend(
        &worker.clock,
        &client.timer,
        &mut client.wire,
        AtEnd::Leave,
        limit,
        served_or_hopeless(desk, desk.join()),
    )
    .await;
    // Served late in a drain, it has as much time as those had who were served at its begin.
    let spared_until = worker.clock.now() + millis(client.settings.drain_timeout);
    client.timer.standing.leave_line(spared_until);
    match waited {
        Ok(Ok(lease)) => Ok(lease),
        Ok(Err(why)) => {
            counters.queue_rejections.add(1);
            Err(Failure::Reply(none_comes(why)))
        }
        Err(Interrupt::Gone) => {
            counters.clients_left.add(1);
            Err(Failure::Over(Next::Drop))
        }
        Err(Interrupt::Late) => Err(Failure::Reply(client.give_up().unwrap_or_else(|| {
            let worker = &client.worker;
            worker.counters().queue_timeouts.add(1);
            let reply = Reply::no_token("none came free in time");
            reply.after(pool.retry_after(worker.clock.now()))
        }))),
        Err(Interrupt::Cut) => Err(Failure::Reply(Reply::no_token("tpp is stopping"))),
    }
}

/// The answer to one for whom there is no token to wait for.
fn none_comes(why: Hopeless) -> Reply {
    match why {
        Hopeless::Refused(accounts) => Reply::no_token(format!(
            "the upstream refuses the logins of all {accounts} accounts"
        )),
        Hopeless::Spared(until) => {
            let seconds = until.saturating_sub(boot_millis()).div_ceil(1000).max(1);
            Reply::no_token("the upstream wants all keys spared for a while").after(seconds)
        }
    }
}

/// The lease, or, as soon as there is no hope of one, why.
async fn served_or_hopeless(desk: &Desk, waiting: Waiting) -> Result<Lease, Hopeless> {
    let mut waiting = pin!(waiting);
    poll_fn(|cx| {
        // Whoever waits is woken when hope is lost.
        match (waiting.as_mut().poll(cx), desk.hopeless()) {
            (Poll::Ready(lease), _) => Poll::Ready(Ok(lease)),
            (Poll::Pending, Some(why)) => Poll::Ready(Err(why)),
            (Poll::Pending, None) => Poll::Pending,
        }
    })
    .await
}
