//! What was asked of etcd and has no answer yet.
use crate::account::{Account, Session};
use crate::engine::{Compare, Write};
use crate::order::Reason;
use crate::records::{Incarnation, Shares};

/// A request that has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    /// The highest revision that was known when it left.
    pub(crate) floor: i64,
    /// What was known when it left.
    pub(crate) compares: Vec<Compare>,
    /// What is so if it succeeds.
    pub(crate) writes: Vec<Write>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    List,
    Meta,
    /// Another format is in force.
    Raise(u32),
    /// To be in, under this life and generation; sent when.
    Join {
        inc: Incarnation,
        generation: u64,
        sent: u64,
    },
    /// A sign of life under this generation; sent when.
    Beat {
        generation: u64,
        sent: u64,
    },
    /// `g/NAME` as it is, so that nothing that a predecessor sent is committed any more.
    Renew,
    /// Another host's floating sessions may be taken.
    Fence(String),
    /// The records of a host that is over go.
    Forget(String),
    /// Another host's silence was observed for this long, s; whether its life is over.
    Quiet {
        host: String,
        over: bool,
    },
    /// Accounts' records.
    Edits(Vec<Edit>),
    Leave,
}

impl Pending {
    pub(crate) fn new(kind: Kind, floor: i64) -> Self {
        Self {
            kind,
            floor,
            compares: Vec::new(),
            writes: Vec::new(),
        }
    }
}

/// One account's record is to become this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Edit {
    pub(crate) account: Account,
    /// The revision that it is conditioned upon; 0: there is no record.
    pub(crate) revision: i64,
    pub(crate) record: Shares,
    /// Hosts whose generation must be as it was seen: shares of theirs were dropped, or made.
    pub(crate) others: Vec<String>,
    /// Sessions that are out when it is settled.
    pub(crate) sessions: Vec<Session>,
    pub(crate) what: What,
}

/// What an edit does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Claim(u32, Reason),
    /// So many to a host, or to nobody.
    Give(u32, Option<String>, Reason),
    /// Home sessions become floating: they are so here already.
    Float,
    /// Sessions become home, or the limit changes: nobody has more or less.
    Terms,
    /// The record stays as it is, at another revision.
    Settle,
}

/// Why an account is let alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lock {
    /// An edit is under way.
    Sent,
    /// Sessions may have been given away by a transaction on this revision, which may still be on its way.
    Unsettled {
        revision: i64,
        sessions: Vec<Session>,
    },
}

/// A record as it is written.
pub(super) fn json(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record)
        .expect("records have text keys and no map of another kind: they can be written")
}
