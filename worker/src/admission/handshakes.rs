//! Handshakes under way: bounded, without a line in which a good client would stand behind silent ones.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::timers::Timer;

/// Most of them at once in one worker. When another one begins, the one that has lasted longest ends: whoever says nothing makes
/// room for those that do.
const MOST: usize = 256;

/// The handshakes of one worker, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(Mutex<VecDeque<Arc<Timer>>>);

/// One of them. Dropping it counts it out.
#[derive(Debug)]
pub(crate) struct Handshake<'a> {
    all: &'a Handshakes,
    timer: &'a Arc<Timer>,
}

impl Handshakes {
    /// Begins one, whose time `timer` bounds.
    pub(crate) fn begin<'a>(&'a self, timer: &'a Arc<Timer>) -> Handshake<'a> {
        let oldest = {
            let mut all = self.0.lock();
            all.push_back(Arc::clone(timer));
            if all.len() > MOST {
                all.pop_front()
            } else {
                None
            }
        };
        if let Some(oldest) = oldest {
            oldest.end_wait();
        }
        Handshake { all: self, timer }
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        // It may have been ended to make room.
        if let Some(at) = all.iter().position(|one| Arc::ptr_eq(one, self.timer)) {
            all.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{clock::Clock, timers::Timers};

    #[test]
    fn one_more_than_may_be_ends_the_oldest_and_nobody_else() {
        let (timers, all, clock) = (Timers::default(), Handshakes::default(), Clock::new());
        let silent: Vec<_> = (0..=MOST)
            .map(|_| timers.add(Waker::noop().clone()))
            .collect();
        let mut under_way: Vec<_> = silent.iter().map(|timer| all.begin(timer)).collect();
        let ended = |at: usize| silent[at].is_due(&clock);
        assert!(ended(0) && (1..=MOST).all(|at| !ended(at)));
        // What has ended by itself makes room as well.
        drop(under_way.remove(1));
        let next = timers.add(Waker::noop().clone());
        let _next = all.begin(&next);
        assert!((1..=MOST).all(|at| !ended(at)) && !next.is_due(&clock));
        drop(under_way);
        assert_eq!(all.0.lock().len(), 1);
    }
}
