//! Waiting for something else with an eye on the client.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{clock::Timer, wire::Wire, worker::Worker};

/// Most bytes taken from a client ahead of their use. A client that leaves behind more than this, and more than the
/// system's receive buffer, is noticed only when they are used.
pub(crate) const READ_AHEAD: usize = 64 * 1024;

/// Why a wait ended without its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The client left.
    Gone,
    /// It took too long.
    Late,
    /// The worker closes what is left.
    Cut,
}

/// Polls `future` until it is done, the client leaves, `limit` is over or the worker closes what is left. What the client sends
/// meanwhile goes to its inbox.
pub(crate) async fn attend<F: Future>(
    worker: &Worker,
    timer: &Timer,
    client: &mut Wire,
    limit: Option<Duration>,
    future: F,
) -> Result<F::Output, Interrupt> {
    timer.set(&worker.clock, limit);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if has_left(client, cx) {
            return Poll::Ready(Err(Interrupt::Gone));
        }
        if worker.is_cut() {
            return Poll::Ready(Err(Interrupt::Cut));
        }
        if timer.is_due(&worker.clock) {
            return Poll::Ready(Err(Interrupt::Late));
        }
        Poll::Pending
    })
    .await
}

/// Whether the client ended its side or broke off. A client that ends its side before it has its answer counts as
/// gone: it cannot be told from one that is.
pub(crate) fn has_left(client: &mut Wire, cx: &mut Context<'_>) -> bool {
    while client.inbox.len() < READ_AHEAD {
        match client.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => return true,
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => return false,
        }
    }
    false
}
