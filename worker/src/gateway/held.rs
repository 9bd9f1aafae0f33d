//! A lease in use, with the header line that it stands for.

use std::fmt;

use tpp::{config::Reset, lending::Lease};
use tracing::debug;
use zeroize::Zeroizing;

use crate::worker::Worker;

const PREFIX: &[u8] = b"Authorization: Bearer ";
/// The line is the last of its head.
const SUFFIX: &[u8] = b"\r\n\r\n";

/// A lease and its `Authorization` line. Dropping it gives the slot back.
pub(crate) struct Held {
    lease: Lease,
    worker: usize,
    /// Of the token in the line; 0: there is no line yet.
    version: u64,
    line: Zeroizing<Vec<u8>>,
    since: u64,
    requests: u64,
    reset: Reset,
}

impl Held {
    pub(crate) fn new(lease: Lease, worker: &Worker, reset: Reset) -> Self {
        Self {
            lease,
            worker: worker.seat(),
            version: 0,
            line: Zeroizing::default(),
            since: worker.clock.now(),
            requests: 0,
            reset,
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
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

    /// The end of a request head: the line with the token that is in the slot now and the empty line. Counts a use.
    /// Also returns the token's version. The line is built once for each token, not for each request.
    pub(crate) fn end_of_head(&mut self) -> (&[u8], u64) {
        if self.version != self.lease.token_version() {
            let mut token = Zeroizing::new(Vec::new());
            self.version = self.lease.read_token(&mut token);
            let mut line = Zeroizing::new(Vec::with_capacity(
                PREFIX.len() + token.len() + SUFFIX.len(),
            ));
            line.extend_from_slice(PREFIX);
            line.extend_from_slice(&token);
            line.extend_from_slice(SUFFIX);
            self.line = line;
        }
        self.lease.count_use();
        self.requests += 1;
        (&self.line, self.version)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What was taken back may still be at work at the upstream.
        if self.reset == Reset::Login || self.lease.is_ended() {
            self.mark_spent();
        }
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
