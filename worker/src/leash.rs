//! Ends a connection whose lease was taken back, or whose slot's deadline has come, wherever it waits.
//!
//! Each connection's task is run under its leash. When leases must be looked at, all connections are woken, and a leash whose
//! lease is to end drops the task's future: that gives the slot back and closes both sides, as any other end does. All orderings are Relaxed: one thread reads and writes.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::Poll,
};

use parking_lot::Mutex;
use tpp::lending::{EndOfLease, Lease, LeaseWatch};
use tracing::info;

/// How often the connections of a worker had to look at their leases.
#[derive(Debug)]
pub(crate) struct Looks {
    /// The worker's seat, as log lines name it.
    worker: usize,
    count: AtomicU64,
}

impl Looks {
    /// None yet, in the worker in that seat.
    pub(crate) fn new(worker: usize) -> Self {
        Self {
            worker,
            count: AtomicU64::new(0),
        }
    }

    /// One more is due: whoever calls wakes all connections.
    pub(crate) fn call(&self) {
        self.count.fetch_add(1, Relaxed);
    }
}

/// One connection's leash.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    lease: Mutex<Option<LeaseWatch>>,
}

impl Leash {
    /// The connection has this lease from now on. When the lease is over the leash says nothing any more.
    pub(crate) fn bind(&self, lease: &Lease) {
        *self.lease.lock() = Some(lease.watch());
    }

    #[cold]
    fn look(&self, looks: &Looks) -> bool {
        let lease = self.lease.lock();
        let Some((lease, why)) = lease
            .as_ref()
            .and_then(|lease| Some((lease, lease.why_ended()?)))
        else {
            return false;
        };
        let worker = looks.worker;
        match why {
            EndOfLease::TakenBack => info!(worker, "lease taken back, connection closed"),
            EndOfLease::Cut => {
                lease.count_cut();
                info!(
                    worker,
                    "the lease's time is over on this host, connection cut"
                );
            }
        }
        true
    }

    /// Runs `connection` to its end, or to the lease's. Whoever calls drops it then.
    pub(crate) async fn hold<F: Future<Output = ()>>(
        &self,
        looks: &Looks,
        mut connection: Pin<&mut F>,
    ) {
        // The look at which this connection looked last. It lies with the connection's task, which each poll has at hand.
        let mut seen = 0;
        poll_fn(|cx| {
            let count = looks.count.load(Relaxed);
            if seen != count {
                seen = count;
                if self.look(looks) {
                    return Poll::Ready(());
                }
            }
            connection.as_mut().poll(cx)
        })
        .await;
    }
}
