//! What the core wants done.
use serde::Serialize;

use crate::account::{Account, Session};
use crate::deadlines::{Class, Deadlines};
use crate::engine::{Ticket, Transaction};
use crate::formats::Formats;
use crate::settings::Memory;

/// Something to be done. Orders of one step are carried out in their order, and those of one step before those of the next:
/// a local order is in force (seen by every worker) before a transaction after it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// Read all keys below the root at one revision (in pages if need be).
    List {
        /// Names the answer.
        ticket: Ticket,
        /// Give up after this, ns.
        within: u64,
    },
    /// Watch all keys below the root from this revision on, in place of any watch before.
    Watch {
        /// The first revision.
        from: i64,
    },
    /// Commit this if its conditions hold.
    Send {
        /// Names the answer.
        ticket: Ticket,
        /// What.
        transaction: Transaction,
        /// After this, ns, the outcome is [`Ambiguous`](crate::engine::Outcome::Ambiguous). Another member may be tried within it
        /// only if the first try certainly did not reach a member.
        within: u64,
    },
    /// This session is ours: log in if it has no token, and lend it under this class's deadlines. For one that is on its way out:
    /// it stays. For one that is lent: it changes class for requests from now on.
    Lend {
        /// Which.
        session: Session,
        /// Under which deadlines.
        class: Class,
        /// No login before this, ns of `CLOCK_BOOTTIME`; 0: now. Of several that were said of a session that is not out, the latest counts.
        not_before: u64,
    },
    /// Lend this home session to nobody else; as soon as nobody holds it, lend it as a floating one, with the token it has, and tell
    /// [`Event::Floats`](crate::Event::Floats). A later [`Order::Lend`], [`Order::Withdraw`] or [`Order::Wipe`] of it ends this.
    Float {
        /// Which.
        session: Session,
        /// Names the answer.
        ticket: Ticket,
    },
    /// Lend this session no more; [`Event::Idle`](crate::Event::Idle) when it is free. A login under way is thrown away.
    Withdraw {
        /// Which.
        session: Session,
        /// Cut what is under way on it.
        at_once: bool,
    },
    /// It is idle: remove its token, log out if the provider can (bounded by a few seconds, however it ends), then tell
    /// [`Event::Wiped`](crate::Event::Wiped).
    Wipe {
        /// Which.
        session: Session,
    },
    /// Write these words into the region.
    Deadlines(Deadlines),
    /// Keep this in the region. In force before a transaction after it leaves.
    Remember(Memory),
    /// Whether this host has a part: for `/readyz`, beside what the pool says.
    Ready(bool),
    /// tpp must not run with this configuration (at start: exit 78).
    Refuse(Refusal),
    /// Nothing is left with this host and its records are gone: tpp may end.
    Left,
    /// A line for the journal.
    Note(Note),
}

/// Why this tpp cannot take part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The upstream's accounts are another cluster's.
    #[error(
        "the accounts of this upstream belong to cluster \"{theirs}\" in etcd, not to \"{ours}\""
    )]
    OtherCluster {
        /// `meta`'s.
        theirs: String,
        /// The configured one.
        ours: String,
    },
    /// The records are written in a format that this host does not speak.
    #[error(
        "the records in etcd are written in format {in_force}, and this host speaks {speaks}: {}",
        remedy(*in_force, *speaks)
    )]
    Format {
        /// `meta`'s.
        in_force: u32,
        /// This host's.
        speaks: Formats,
    },
    /// `meta` is there and cannot be read.
    #[error("the record {key} in etcd cannot be read")]
    Unreadable {
        /// Its key.
        key: String,
    },
    /// Another host of this name is alive.
    #[error("a host \"{name}\" is alive already: give this one another hosts.name")]
    NameInUse {
        /// The name.
        name: String,
    },
}

/// What would be right where a host does not speak the format in force.
fn remedy(in_force: u32, speaks: Formats) -> &'static str {
    if in_force < speaks.oldest {
        "begin with an earlier tpp that speaks both at every host, and upgrade when all have it"
    } else if Formats::SPOKEN.has(in_force) {
        "hosts.newest_format keeps it from later ones; take that out here"
    } else {
        "it needs a later tpp, as the other hosts have"
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// There is no such host.
    #[error("there is no host \"{0}\"")]
    NoSuchHost(String),
    /// It is this one.
    #[error("\"{0}\" is this host")]
    Myself(String),
    /// It beats.
    #[error("host \"{0}\" is alive")]
    Alive(String),
    /// It is silent or leaves.
    #[error("host \"{0}\" takes no sessions now")]
    TakesNone(String),
    /// This host has no part now.
    #[error("this host has no part in the cluster now: {0}")]
    NotIn(&'static str),
    /// It gives nothing away.
    #[error("this host is not drained")]
    NotLeaving,
    /// Nothing speaks for another store.
    #[error("the store is the one that this host knows: there is nothing to adopt")]
    NothingToAdopt,
}

/// Why sessions moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody had them.
    Claimed,
    /// Their host was silent for too long.
    TakenOver,
    /// They were idle and somebody waited elsewhere.
    Idle,
    /// Somebody had waited much longer elsewhere.
    Waited,
    /// The other host had less than its least share.
    LeastShare,
    /// To have about as many idle everywhere.
    Level,
    /// A host left.
    Left,
    /// An operator asked for it.
    Asked,
    /// The account was refused here, is not known here, or allows less than before.
    Returned,
}

/// A line for the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    /// This host is in, under this generation.
    Joined(u64),
    /// The name is that of a host that may be alive: this one waits.
    NameWaits {
        /// It is an earlier life of this very machine.
        own: bool,
    },
    /// This host was fenced by another and is in again, under this generation.
    Fenced(u64),
    /// Floating sessions are not lent any more: no beat has succeeded for too long.
    Lapsed,
    /// They are lent again.
    Lending,
    /// This host fenced another.
    FencedOther(String),
    /// Another host's home sessions may be taken too.
    Ended(String),
    /// Sessions came here.
    Took(u32, Reason),
    /// Sessions went to a host, or to nobody in particular.
    Gave(u32, Option<String>, Reason),
    /// The store is not the one that this host knew.
    OtherStore(String),
    /// An account is left to other hosts for a while.
    Shunned(Account),
    /// This host saw that all speak this format, and raised it.
    Raised(u32),
    /// A record cannot be read; its key.
    Unreadable(String),
}
