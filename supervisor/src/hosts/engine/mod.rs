//! What speaks to the store that all hosts share: a few calls, so that another store, and a test's, can stand in its place.

mod access;
pub(super) mod etcd;
mod words;

use std::{future::Future, pin::Pin, time::Duration};

use serde::Serialize;
use tokio::sync::mpsc;
use tpp_hosts::engine::{Header, Item, Outcome, Transaction};

/// What will be there once it is awaited.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// News of a watch.
#[derive(Debug)]
pub(super) enum News {
    /// Changes, in order of revision.
    Changed(Header, Vec<Item>),
    /// It has ended, or its begin is gone.
    Lost(String),
}

/// The store. All reads and transactions are linearizable.
pub(super) trait Engine: Send + Sync {
    /// Commits it if its conditions hold. Whatever does not say that it did, or did not, is ambiguous.
    fn txn(&self, transaction: Transaction, within: Duration) -> Pending<Outcome>;

    /// All keys that begin with `root`, at one revision.
    fn range(
        &self,
        root: &str,
        within: Duration,
    ) -> Pending<Result<(Header, Vec<Item>), EngineError>>;

    /// What becomes of those keys from a revision on. It ends when the receiver is dropped.
    fn watch(&self, root: &str, from: i64) -> mpsc::Receiver<News>;

    /// How its members are.
    fn status(&self) -> Pending<Vec<MemberStatus>>;

    /// What it has counted: calls, by operation and result.
    fn calls(&self) -> Vec<Calls>;
}

/// Why a read brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
    /// The store, or the way to it, said so.
    #[error("{0}")]
    Said(String),
    /// The store does not do it, whoever asks.
    #[error("{0}")]
    Refused(String),
    /// The store does not let this host.
    #[error("{0}")]
    NotAllowed(String),
}

/// A member of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MemberStatus {
    /// Where it is asked.
    pub(crate) endpoint: String,
    /// Its version; `None`: it does not answer.
    pub(crate) version: Option<String>,
    /// Bytes of its database.
    pub(crate) db_bytes: u64,
    /// Why it does not answer, or what it complains of.
    pub(crate) trouble: Option<String>,
}

/// How often something was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    /// What: `txn`, `range`, `watch`, `status`.
    pub(crate) op: &'static str,
    /// With success.
    pub(crate) ok: u64,
    /// Without.
    pub(crate) failed: u64,
}
