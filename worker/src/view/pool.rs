//! A pool of tokens, as requests use it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed}, // One thread writes and reads.
};

use tpp::{ids::PoolId, lending::Desk, plan::PoolPlan};

use super::holds::Holds;

/// A pool of tokens.
#[derive(Debug)]
pub(crate) struct TokenPool {
    pub(crate) plan: PoolPlan,
    pub(crate) desk: Arc<Desk>,
    /// What stands before a token in its header line, the name of that header included.
    pub(crate) opening: Arc<[u8]>,
    /// That header's name in lower case, if it is another than `Authorization`.
    header: Option<Box<[u8]>>,
    /// No slot was free when a lease was taken, or at the last tick.
    scarce: AtomicBool,
    /// How long its leases last.
    pub(crate) holds: Arc<Holds>,
}

impl TokenPool {
    /// That of `plan`. Its line goes on if it is among `old` ones: a worker has one desk a pool.
    pub(crate) fn new(plan: PoolPlan, worker: &Arc<Desk>, old: &[Arc<Self>]) -> Self {
        let before = old.iter().find(|pool| pool.plan.id == plan.id);
        let desk = match before {
            Some(pool) => Arc::clone(&pool.desk),
            None if plan.id == PoolId::DEFAULT => Arc::clone(worker),
            // The supervisor makes a pool before it speaks of it. Should it lie, nothing is lent but by the worker's own.
            None => worker.open(plan.id).unwrap_or_else(|| Arc::clone(worker)),
        };
        let inject = &plan.inject;
        let opening = format!("{}: {}", inject.header, inject.prefix);
        let header = inject.header.to_ascii_lowercase();
        let header = (header != "authorization").then(|| header.into_bytes().into());
        Self {
            opening: opening.into_bytes().into(),
            header,
            plan,
            desk,
            scarce: AtomicBool::new(false),
            holds: before.map_or_else(Arc::default, |pool| Arc::clone(&pool.holds)),
        }
    }

    /// The header that tokens stand in and clients may not send, in lower case, if it is another than `Authorization`, which they
    /// may not send at all.
    pub(crate) fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// After how many seconds a client may try again that is sent away, at `now` milliseconds of the worker's clock.
    pub(crate) fn retry_after(&self, now: u64) -> u64 {
        self.holds.retry_after(now, || self.desk.census())
    }

    /// A lease was taken, or time has passed: whether the next client would have to wait.
    pub(crate) fn note_scarcity(&self) {
        self.scarce.store(!self.desk.has_free(), Relaxed);
    }

    /// Whether the next client would have to wait.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce.load(Relaxed)
    }
}
