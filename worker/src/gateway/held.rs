//! A lease in use, with the header line that it stands for.

use std::{fmt, sync::Arc};

use tpp::lending::Lease;
use tracing::debug;
use zeroize::Zeroizing;

use crate::{clock::Timer, worker::Worker};

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
    timer: Arc<Timer>,
}

impl Held {
    pub(crate) fn new(lease: Lease, worker: &Worker, timer: &Arc<Timer>) -> Self {
        timer.leash.bind(&lease);
        Self {
            timer: Arc::clone(timer),
            lease,
            worker: worker.seat(),
            version: 0,
            line: Zeroizing::default(),
            since: worker.clock.now(),
            requests: 0,
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
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
        self.timer.leash.free();
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
