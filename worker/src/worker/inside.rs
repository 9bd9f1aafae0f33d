//! Connections that are there, counted.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::Worker;

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Inside {
    worker: Arc<Worker>,
    since: Instant,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.worker.leave(self.since.elapsed());
    }
}

impl Worker {
    /// Counts a connection in, until what is returned is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        self.connections.fetch_add(1, Relaxed);
        self.counters().connections_opened.add(1);
        let (worker, since) = (Arc::clone(self), Instant::now());
        Inside { worker, since }
    }

    /// Counts a connection out.
    fn leave(&self, life: Duration) {
        let counters = self.counters();
        counters.connections_closed.add(1);
        counters.connection_duration.observe(life);
        self.churn.note_end(self.clock.now());
        if self.connections.fetch_sub(1, Relaxed) == 1 {
            self.emptied.notify_one();
        }
    }
}
