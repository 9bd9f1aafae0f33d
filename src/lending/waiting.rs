//! A place in line, given back by being dropped.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{clock::monotonic_millis, ids::Ticket};

use super::{
    desk::{Desk, Waiter},
    lease::Lease,
};

impl Desk {
    /// Stands in line: strictly in order of arrival, over all workers. Dropping the future leaves the line.
    pub fn join(self: &Arc<Self>) -> Waiting {
        let since = monotonic_millis();
        let mut line = self.line();
        let ticket = line.keeper.join(&self.pool());
        let waiter = Waiter {
            joined: since,
            waker: None,
            granted: None,
        };
        line.waiters.insert(ticket, waiter);
        self.note_oldest(&line);
        drop(line);
        self.serve();
        Waiting {
            desk: Arc::clone(self),
            ticket: Some(ticket),
            since,
        }
    }
}

/// A place in line: resolves to the lease. Dropping it leaves the line.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waiting {
    desk: Arc<Desk>,
    /// `None` once served.
    ticket: Option<Ticket>,
    /// When it joined, milliseconds of [`monotonic_millis`].
    since: u64,
}

impl Future for Waiting {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let ticket = self.ticket.expect("not polled after completion");
        let mut line = self.desk.line();
        let waiter = line
            .waiters
            .get_mut(&ticket)
            .expect("waits until served or dropped");
        let Some((slot, claim)) = waiter.granted else {
            waiter.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        line.waiters.remove(&ticket);
        drop(line);
        self.ticket = None;
        Poll::Ready(self.desk.lease_awaited((slot, claim), self.since))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.desk.line();
        let granted = line
            .waiters
            .remove(&ticket)
            .and_then(|waiter| waiter.granted);
        let serve = match granted {
            Some(_) => false,
            None => line.keeper.leave(&self.desk.pool(), ticket),
        };
        self.desk.note_oldest(&line);
        drop(line);
        if let Some((slot, claim)) = granted {
            drop(self.desk.lease_awaited((slot, claim), self.since));
        } else if serve {
            self.desk.serve();
        }
    }
}
