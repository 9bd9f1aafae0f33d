//! Ends a connection whose lease was taken back, or whose pool's deadline has come, wherever it waits.
//!
//! Each connection's task is run under its leash. When leases must be looked at, all connections are woken, and a leash whose
//! lease is to end drops the task's future: that gives the slot back and closes both sides, as any other end does.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::Poll,
};

use parking_lot::Mutex;
use tpp::lending::{Lease, LeaseWatch};
use tracing::info;

use crate::worker::Worker;

/// One connection's leash. Its orderings are Relaxed: one thread reads and writes.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    lease: Mutex<Option<LeaseWatch>>,
    /// The worker's look at which this connection looked last.
    seen: AtomicU64,
}

impl Leash {
    /// The connection has this lease from now on. When the lease is over the leash says nothing any more.
    pub(crate) fn bind(&self, lease: &Lease) {
        *self.lease.lock() = Some(lease.watch());
    }

    fn is_to_end(&self, worker: &Worker) -> bool {
        let looks = worker.looks_at_leases();
        self.seen.swap(looks, Relaxed) != looks
            && self.lease.lock().as_ref().is_some_and(LeaseWatch::is_ended)
    }

    /// Runs `connection` to its end, or to the lease's. Whoever calls drops it then.
    pub(crate) async fn hold<F: Future<Output = ()>>(
        &self,
        worker: &Worker,
        mut connection: Pin<&mut F>,
    ) {
        poll_fn(|cx| {
            if self.is_to_end(worker) {
                info!(
                    worker = worker.seat(),
                    "lease taken back, connection closed"
                );
                return Poll::Ready(());
            }
            connection.as_mut().poll(cx)
        })
        .await;
    }
}
