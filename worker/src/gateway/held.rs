//! A lease in use, with the header line that it stands for.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tpp::{
    config::Reset,
    ids::{Origin, PoolId},
    lending::Lease,
};
use tracing::debug;
use zeroize::Zeroizing;

use crate::{
    rarely::seldom,
    view::{holds::Holds, pool::TokenPool},
    worker::Worker,
};

/// The line is the last of its head.
const SUFFIX: &[u8] = b"\r\n\r\n";

/// A lease and its header line. Dropping it gives the slot back.
pub(crate) struct Held {
    lease: Lease,
    pool: PoolId,
    worker: usize,
    /// Of the token in the line; 0: there is no line yet.
    version: u64,
    /// Of the last token that is known to have served.
    served: u64,
    /// Where alone it may be sent.
    origin: Origin,
    line: Zeroizing<Vec<u8>>,
    /// What stands before the token in it.
    opening: Arc<[u8]>,
    since: u64,
    requests: u64,
    /// Its slot is shared with other hosts: there are deadlines to heed.
    is_shared: bool,
    reset: Reset,
    begun: Instant,
    holds: Arc<Holds>,
}

impl Held {
    pub(crate) fn new(lease: Lease, worker: &Worker, pool: &TokenPool) -> Self {
        Self {
            is_shared: lease.kill_at().is_some(),
            lease,
            worker: worker.seat(),
            version: 0,
            served: 0,
            origin: Origin::NONE,
            line: Zeroizing::default(),
            opening: Arc::clone(&pool.opening),
            since: worker.clock.now(),
            requests: 0,
            reset: pool.plan.lease.reset,
            pool: pool.desk.pool_id(),
            begun: Instant::now(),
            holds: Arc::clone(&pool.holds),
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether its slot is shared with other hosts. It becomes so, or ceases to be, only while nobody has it.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether the time is over in which its token may be sent: the answer in hand is the last one.
    pub(crate) fn has_lapsed(&self) -> bool {
        seldom(self.is_shared) && self.lease.has_lapsed()
    }

    /// Where it is from.
    pub(crate) fn pool(&self) -> PoolId {
        self.pool
    }

    /// However the lease ends, its token is not lent again: the upstream may still work for it.
    pub(crate) fn mark_spent(&mut self) {
        if self.version != 0 {
            self.lease.mark_spent(self.version);
        }
    }

    /// The upstream has done all that it was asked for.
    pub(crate) fn mark_sound(&mut self) {
        self.lease.mark_sound();
    }

    /// When it was acquired, by the worker's clock.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// The token in the line had an answer that says nothing against it. Told to the supervisor once for each token.
    pub(crate) fn note_served(&mut self) {
        if seldom(self.served != self.version) {
            self.served = self.version;
            self.lease.note_served(self.version);
        }
    }

    /// Where alone the token may be sent that is in the slot now, and its version.
    pub(crate) fn origin(&mut self) -> (Origin, u64) {
        self.look();
        (self.origin, self.version)
    }

    /// The upstream wants the key in the line spared for so long, whoever has it.
    pub(crate) fn spare(&mut self, wait: Duration) {
        self.lease.spare(self.version, wait);
    }

    /// Gives the lease back, its token never to be lent again: it is of a server that is not in force.
    pub(crate) fn give_up(mut self) {
        self.mark_spent();
        self.lease.report_refused(self.version);
    }

    /// The end of a request head for `origin`: the line with the token that is in the slot now and the empty line. Counts
    /// a use at `now`, milliseconds of the monotonic clock. Also returns the token's version. `None`: the token is of another origin, and must not go there.
    pub(crate) fn end_of_head(&mut self, origin: Origin, now: u64) -> Option<(&[u8], u64)> {
        self.look();
        if self.origin != origin {
            return None;
        }
        self.lease.count_use(now);
        self.requests += 1;
        Some((&self.line, self.version))
    }

    /// Builds the line for the token that is in the slot now: once for each token, not for each request.
    fn look(&mut self) {
        if self.version != self.lease.token_version() {
            let mut token = Zeroizing::new(Vec::new());
            (self.version, self.origin) = self.lease.read_token(&mut token);
            let mut line = Zeroizing::new(Vec::with_capacity(
                self.opening.len() + token.len() + SUFFIX.len(),
            ));
            line.extend_from_slice(&self.opening);
            line.extend_from_slice(&token);
            line.extend_from_slice(SUFFIX);
            self.line = line;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What was taken back may still be at work at the upstream.
        if self.reset == Reset::Login || self.lease.is_ended() {
            self.mark_spent();
        }
        let held = self.begun.elapsed();
        self.holds.note(held);
        self.lease.note_end(held);
        debug!(
            worker = self.worker,
            slot = self.lease.slot().get(),
            requests = self.requests,
            "lease released"
        );
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("lease", &self.lease)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
