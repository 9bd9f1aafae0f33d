//! Waiting for something else with an eye on the client.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{clock::Clock, timers::Timer, wire::Wire};

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

/// What it means that a client has ended its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It has left.
    Leave,
    /// It has nothing more to say, and may still want to hear.
    Stay,
}

/// How a client stands to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Both sides are open, as far as is known.
    Here,
    /// It has ended its side: it cannot be told from one that is gone.
    Ended,
    /// It broke off.
    Gone,
}

/// Polls `future` until it is done, the client leaves, `limit` is over or the worker closes what is left. What the client sends
/// meanwhile goes to its inbox.
pub(crate) async fn attend<F: Future>(
    clock: &Clock,
    timer: &Timer,
    client: &mut Wire,
    at_end: AtEnd,
    limit: Option<Duration>,
    future: F,
) -> Result<F::Output, Interrupt> {
    timer.set(clock, limit);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        match presence(client, cx) {
            Presence::Here => {}
            Presence::Ended if at_end == AtEnd::Stay => {}
            Presence::Ended | Presence::Gone => return Poll::Ready(Err(Interrupt::Gone)),
        }
        if timer.is_cut() {
            return Poll::Ready(Err(Interrupt::Cut));
        }
        if timer.is_due(clock) {
            return Poll::Ready(Err(Interrupt::Late));
        }
        Poll::Pending
    })
    .await
}

/// Takes what the client has sent, and sees whether it is still there.
pub(crate) fn presence(client: &mut Wire, cx: &mut Context<'_>) -> Presence {
    while !client.has_ended() && client.inbox.len() < READ_AHEAD {
        match client.poll_fill(cx) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return Presence::Gone,
            Poll::Pending => return Presence::Here,
        }
    }
    if !client.has_ended() {
        Presence::Here
    } else if client.is_broken() {
        Presence::Gone
    } else {
        Presence::Ended
    }
}
