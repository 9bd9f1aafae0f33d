//! Waiting: for a slot, and for a new token in it, with an eye on the client.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tracing::debug;

use crate::{
    connection::Connection,
    held::Held,
    reply::Reply,
    worker::{View, Worker, millis},
};

/// What a new token may take to arrive, beyond the login itself.
const REFRESH_MARGIN: Duration = Duration::from_secs(5);

/// Why there is no lease.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The client is told this.
    Reply(Reply),
    /// It left.
    Gone,
}

/// Gets a lease: at once if a slot is free and nobody waits, else in order of arrival.
pub(crate) async fn acquire(worker: &Worker, view: &View, connection: &Connection) -> Result<Held, Denied> {
    let (desk, counters, settings) = (worker.desk(), worker.counters(), &view.settings);
    if let Some(lease) = desk.try_lease() {
        return Ok(admit(worker, Held::new(lease, worker), Duration::ZERO));
    }
    if settings.max_waiting.is_some_and(|most| desk.waiting() >= most as u64) {
        counters.queue_rejections.add(1);
        return Err(Denied::Reply(Reply::no_token("too many wait for one already")));
    }
    let begun = Instant::now();
    let joined = unless_left(connection, desk.join());
    let joined = match settings.wait_timeout {
        Some(limit) => timeout(limit, joined).await.map_err(|_| {
            counters.queue_timeouts.add(1);
            Denied::Reply(Reply::no_token("none came free in time"))
        })?,
        None => joined.await,
    };
    let lease = joined.ok_or_else(|| {
        counters.clients_left.add(1);
        Denied::Gone
    })?;
    Ok(admit(worker, Held::new(lease, worker), begun.elapsed()))
}

fn admit(worker: &Worker, held: Held, waited: Duration) -> Held {
    worker.counters().acquisition_wait.observe(waited);
    debug!(
        worker = worker.seat(),
        slot = held.lease().slot().get(),
        wait_ms = millis(waited),
        "lease acquired"
    );
    held
}

/// Reports token `version` as refused and waits for the next. Whether it came.
///
/// # Errors
/// If the client left meanwhile.
pub(crate) async fn refresh(
    view: &View,
    connection: &Connection,
    refreshed: impl Future<Output = bool>,
) -> Result<bool, Denied> {
    let limit = view.settings.login_timeout + REFRESH_MARGIN;
    match timeout(limit, unless_left(connection, refreshed)).await {
        Ok(outcome) => outcome.ok_or(Denied::Gone),
        Err(_) => Ok(false),
    }
}

/// The output of `future`; `None` if the client leaves before.
async fn unless_left<F: Future>(connection: &Connection, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if connection.client().has_left(cx) {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}
