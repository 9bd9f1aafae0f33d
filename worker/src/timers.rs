//! The deadlines of all connections, and what ends a connection early.
//!
//! A connection has one [`Timer`] for its whole life. Setting it is a store to memory; the worker's tick
//! looks at all of them and wakes the few that are due. A deadline is met up to two ticks late, never early.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    clock::{Clock, NEVER, due},
    leash::Leash,
    standing::Standing,
};

/// One connection's deadline, and what ends it early.
pub(crate) struct Timer {
    /// It goes wherever the timer goes, and is woken with it.
    pub(crate) leash: Leash,
    due: AtomicU64,
    waker: Waker,
    pub(crate) standing: Standing,
}

impl Timer {
    /// Makes the deadline now.
    pub(crate) fn end_wait(&self) {
        self.due.store(0, Relaxed);
        self.waker.wake_by_ref();
    }

    /// Has the connection look at what it waits for.
    pub(crate) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// Ends the connection, whatever it is doing.
    pub(crate) fn cut(&self) {
        self.standing.cut();
        self.waker.wake_by_ref();
    }

    /// Whether the connection is to end, whatever it is doing.
    pub(crate) fn is_cut(&self) -> bool {
        self.standing.is_cut()
    }

    /// Sets the deadline to `after` from now; `None`: no deadline.
    pub(crate) fn set(&self, clock: &Clock, after: Option<Duration>) {
        self.set_due(due(clock.now(), after));
    }

    /// Sets the deadline to a time of the worker's clock.
    pub(crate) fn set_due(&self, due: u64) {
        self.due.store(due, Relaxed);
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_due(&self, clock: &Clock) -> bool {
        self.due.load(Relaxed) <= clock.now()
    }

    /// Polls `future` until it is done; `None`: it took longer than `limit`, or the connection is cut. A stop does not wait for it.
    pub(crate) async fn within<F: Future>(
        &self,
        clock: &Clock,
        limit: Option<Duration>,
        future: F,
    ) -> Option<F::Output> {
        self.standing.rest(clock.now(), None);
        self.set(clock, limit);
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.is_cut() || self.is_due(clock) {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

/// The timers of all connections.
#[derive(Debug, Default)]
pub(crate) struct Timers(Mutex<Vec<Arc<Timer>>>);

impl Timers {
    /// A timer for the task that `waker` wakes. It lives as long as the connection keeps it.
    pub(crate) fn add(&self, waker: Waker) -> Arc<Timer> {
        let timer = Arc::new(Timer {
            leash: Leash::default(),
            due: AtomicU64::new(NEVER),
            waker,
            standing: Standing::default(),
        });
        self.0.lock().push(Arc::clone(&timer));
        timer
    }

    /// A timer for the task that this is called in: it is one for all its life, so its waker stays good.
    pub(crate) async fn add_here(&self) -> Arc<Timer> {
        self.add(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await)
    }

    /// Wakes all, to look at their leases.
    pub(crate) fn wake_all(&self) {
        let timers = self.0.lock();
        timers.iter().for_each(|timer| timer.waker.wake_by_ref());
    }

    /// Reads the clock and wakes those that are due.
    pub(crate) fn tick(&self, clock: &Clock) {
        let now = clock.tick();
        self.0.lock().retain(|timer| {
            if timer.due.load(Relaxed) <= now {
                timer.waker.wake_by_ref();
            }
            Arc::strong_count(timer) > 1
        });
    }

    /// Does `what` to each.
    pub(crate) fn for_each(&self, mut what: impl FnMut(&Timer)) {
        self.0.lock().iter().for_each(|timer| what(timer));
    }
}
