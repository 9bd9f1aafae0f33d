//! What a worker has of a pool: a place in line, a lease, the wait for a new token. Each is given back by being dropped.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    clock::monotonic_millis,
    ids::{SlotIndex, Ticket},
    pool::Claim,
};

use super::desk::{Desk, OwnBellNoted, unpoisoned};

/// A place in line: resolves to the lease. Dropping it leaves the line.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waiting {
    pub(super) desk: Arc<Desk>,
    /// `None` once served.
    pub(super) ticket: Option<Ticket>,
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
        Poll::Ready(self.desk.lease(slot, claim))
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
            drop(self.desk.lease(slot, claim));
        } else if serve {
            self.desk.serve();
        }
    }
}

/// Exclusive use of a slot. Dropping it gives the slot back and serves the line.
pub struct Lease {
    pub(super) desk: Arc<Desk>,
    pub(super) slot: SlotIndex,
    pub(super) claim: Claim,
}

impl Lease {
    /// The slot.
    #[must_use]
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    /// Version of the token that is in the slot now; rises at each refresh.
    #[must_use]
    pub fn token_version(&self) -> u64 {
        self.desk.token(self.slot).version()
    }

    /// Copies the token over `into` and returns its version.
    pub fn read_token(&self, into: &mut Vec<u8>) -> u64 {
        self.desk.token(self.slot).read(into)
    }

    /// Reports that the upstream refused token `version`: the supervisor logs in anew.
    pub fn report_refused(&self, version: u64) {
        if self.desk.token_words(self.slot).report_refused(version) {
            self.desk.ring_supervisor();
        }
    }

    /// Reports token `version` as refused and waits for the next one: true when it is in, false when the login failed.
    /// It sets no bound of its own.
    pub fn refreshed(&self, version: u64) -> Refreshed {
        let failures = self.desk.token_words(self.slot).failures();
        self.report_refused(version);
        Refreshed {
            desk: Arc::clone(&self.desk),
            slot: self.slot,
            version,
            failures,
        }
    }

    /// Whether a request may be stamped with its token now: before [`crate::shared::Terms::lend_until`], and it is not to end.
    ///
    /// With a deadline the system's own clock is read, not one that this process keeps: after a stop of any length the
    /// answer is by the time at which it goes on. Without one it costs two loads.
    #[must_use]
    pub fn may_stamp(&self) -> bool {
        self.desk.terms().may_stamp(monotonic_millis) && !self.is_ended()
    }

    /// Whether it is to end at once: the supervisor took the slot back, or the pool's deadline
    /// ([`crate::shared::Terms::cut_at`]) has come. To be asked whenever [`Desk::summons`] rises, and every now and then.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.desk.pool().slots[self.slot.get()].is_ended(self.claim)
            || self.desk.terms().is_cut(monotonic_millis)
    }

    /// Counts a request sent with this slot.
    pub fn count_use(&self) {
        self.desk.token_words(self.slot).count_use();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let desk = &*self.desk;
        desk.counters().releases.add(1);
        let bells = OwnBellNoted::new(desk);
        // Not held any more: the supervisor reclaimed it, and counted it.
        let _ = desk.pool().release(self.slot, self.claim, &bells);
        if bells.rang() && desk.collect() {
            desk.serve();
        }
    }
}

/// Waits for a token newer than the one that was refused.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Refreshed {
    desk: Arc<Desk>,
    slot: SlotIndex,
    version: u64,
    failures: u64,
}

impl Refreshed {
    fn outcome(&self) -> Option<bool> {
        if self.desk.token(self.slot).version() != self.version {
            Some(true)
        } else if self.desk.token_words(self.slot).failures() != self.failures {
            Some(false)
        } else {
            None
        }
    }
}

impl Future for Refreshed {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let mut watchers = unpoisoned(&self.desk.shared.watchers);
        watchers.push(cx.waker().clone());
        drop(watchers);
        // Once more: the bell may have been answered between the look and the entry.
        self.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}
