//! A lease in use, with the `Authorization` value that it stands for.

use std::fmt;

use http::HeaderValue;
use tpp::pool::Lease;
use tracing::debug;

use crate::worker::Worker;

const SCHEME: &[u8] = b"Bearer ";

/// A lease and its `Authorization` value. Dropping it gives the slot back.
pub(crate) struct Held {
    lease: Lease,
    worker: usize,
    /// Of the token in the value; 0: none was read yet.
    version: u64,
    authorization: HeaderValue,
    since: u64,
    requests: u64,
}

impl Held {
    pub(crate) fn new(lease: Lease, worker: &Worker) -> Self {
        Self {
            lease,
            worker: worker.seat(),
            version: 0,
            authorization: HeaderValue::from_static(""),
            since: worker.now(),
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

    /// The value for one request, with the token that is in the slot now, and that token's version. Counts a use.
    /// Built once for each token, not for each request.
    pub(crate) fn authorize(&mut self) -> (HeaderValue, u64) {
        if self.version != self.lease.token_version() {
            let mut token = Vec::new();
            self.version = self.lease.read_token(&mut token);
            token.splice(..0, SCHEME.iter().copied());
            // The supervisor lets in no token that a header may not hold; should the region be damaged, the
            // upstream refuses what we send.
            let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(token));
            self.authorization = value.unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
            self.authorization.set_sensitive(true);
        }
        self.lease.count_use();
        self.requests += 1;
        (self.authorization.clone(), self.version)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        debug!(worker = self.worker, slot = self.lease.slot().get(), requests = self.requests, "lease released");
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("lease", &self.lease).field("version", &self.version).finish_non_exhaustive()
    }
}
