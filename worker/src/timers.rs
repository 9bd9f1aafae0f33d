//! The deadlines of all connections, and what ends a connection early.
//!
//! A connection has one [`Timer`] for its whole life. Setting it is a store to memory; the worker's tick
//! looks at all of them and wakes the few that are due. A deadline is met up to two ticks late, never early.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
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
    /// Where it is among all.
    place: AtomicUsize,
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
pub(crate) struct Timers(Arc<All>);

#[derive(Debug, Default)]
struct All(Mutex<Vec<Arc<Timer>>>);

/// A timer, for as long as its connection keeps it. With it goes what keeps the connection's task in memory, so that the next one finds
/// that in the processor's caches.
#[derive(Debug)]
pub(crate) struct Kept {
    timer: Arc<Timer>,
    all: Arc<All>,
}

impl Deref for Kept {
    type Target = Arc<Timer>;

    fn deref(&self) -> &Arc<Timer> {
        &self.timer
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let gone = self.all.take_out(&self.timer);
        debug_assert!(gone.is_some_and(|gone| Arc::ptr_eq(&gone, &self.timer)));
    }
}

impl All {
    fn put_in(&self, timer: &Arc<Timer>) {
        let mut all = self.0.lock();
        timer.place.store(all.len(), Relaxed);
        all.push(Arc::clone(timer));
    }

    /// The last one gets its place.
    fn take_out(&self, timer: &Timer) -> Option<Arc<Timer>> {
        let mut all = self.0.lock();
        let last = all.pop()?;
        let place = timer.place.load(Relaxed);
        match all.get_mut(place) {
            Some(one) => {
                last.place.store(place, Relaxed);
                Some(std::mem::replace(one, last))
            }
            None => Some(last),
        }
    }
}

impl Timers {
    /// A timer for the task that `waker` wakes.
    pub(crate) fn add(&self, waker: Waker) -> Kept {
        let timer = Arc::new(Timer {
            leash: Leash::default(),
            due: AtomicU64::new(NEVER),
            waker,
            standing: Standing::default(),
            place: AtomicUsize::new(0),
        });
        self.0.put_in(&timer);
        Kept {
            timer,
            all: Arc::clone(&self.0),
        }
    }

    /// A timer for the task that this is called in: it is one for all its life, so its waker stays good.
    pub(crate) async fn add_here(&self) -> Kept {
        self.add(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await)
    }

    /// Wakes all, to look at their leases.
    pub(crate) fn wake_all(&self) {
        self.for_each(|timer| timer.waker.wake_by_ref());
    }

    /// Reads the clock and wakes those that are due.
    pub(crate) fn tick(&self, clock: &Clock) {
        let now = clock.tick();
        self.for_each(|timer| {
            if timer.due.load(Relaxed) <= now {
                timer.waker.wake_by_ref();
            }
        });
    }

    /// Does `what` to each. It adds none, and lets none go.
    pub(crate) fn for_each(&self, mut what: impl FnMut(&Timer)) {
        self.0.0.lock().iter().for_each(|timer| what(timer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_goes_takes_no_other_with_it_and_keeps_no_task() {
        let (timers, clock) = (Timers::default(), Clock::new());
        let mut kept: Vec<_> = (0..5).map(|_| timers.add(Waker::noop().clone())).collect();
        // From the middle, the end and the begin.
        for at in [2, 3, 0] {
            let gone = Arc::downgrade(&kept[at]);
            drop(kept.remove(at));
            assert_eq!(gone.strong_count(), 0);
            kept.iter().for_each(|timer| timer.set_due(1));
            let mut found = 0;
            timers.for_each(|timer| {
                assert!(
                    !timer.is_due(&clock) && kept.iter().any(|one| std::ptr::eq(&***one, timer))
                );
                found += 1;
            });
            assert_eq!(found, kept.len());
        }
        kept.push(timers.add(Waker::noop().clone()));
        drop(kept);
        timers.for_each(|timer| panic!("{timer:?} is nobody's"));
    }
}
