//! What there is to see of it all.
use std::collections::BTreeMap;

use serde::Serialize;

use crate::formats::Formats;
use crate::order::Reason;

/// What this host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was heard of etcd yet.
    Starting,
    /// Its name is waited for: an earlier life of this host, or another machine, has it.
    Waiting,
    /// It has a part.
    Joined,
    /// It was fenced, or its record is gone: it finds its way back.
    Rejoining,
    /// The store is another, or an older, than the one it knew.
    OtherStore,
    /// It gives away what it has.
    Leaving,
    /// It has nothing any more.
    Left,
    /// It must not take part.
    Refused,
}

/// What a host looks like from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It beats.
    Live,
    /// It beats and gives away what it has.
    Leaving,
    /// No beat for longer than a beat and an answer may take.
    Silent,
    /// Its floating sessions may be taken.
    Fenced,
    /// All its sessions may be taken.
    Off,
}

/// A row of `tppctl hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub me: bool,
    /// What it looks like from here.
    pub state: HostState,
    /// How long ago its last beat was seen, ms.
    pub beat_ms: u64,
    /// Floating sessions, by the records.
    pub floating: u32,
    /// Home sessions, by the records.
    pub home: u32,
    /// In use, by its beat.
    pub in_use: u32,
    /// Idle, by its beat.
    pub idle: u32,
    /// Waiting, by its beat.
    pub waiting: u32,
    /// The longest wait, by its beat and the time since, ms.
    pub oldest_ms: u64,
    /// tpp's version there.
    pub version: String,
    /// The formats of records that it speaks.
    pub formats: Formats,
    /// Fingerprint of the accounts there.
    pub config: String,
    /// Whether that differs from this host's.
    pub differs: bool,
}

/// Sums since this core began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Sums {
    /// Times that floating sessions were not lent any more for want of a beat.
    pub lapses: u64,
    /// Times that this host was fenced.
    pub fenced: u64,
    /// Times that it fenced another.
    pub fences: u64,
    /// Sessions that came here, by reason.
    pub took: BTreeMap<Reason, u64>,
    /// Sessions that went from here, by reason.
    pub gave: BTreeMap<Reason, u64>,
}

/// All there is to see. A pure function of the core and the time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Status {
    /// What this host is doing.
    pub phase: Phase,
    /// For how much longer floating sessions are lent without another beat, ms.
    pub lend_margin_ms: u64,
    /// For how long they are lent after a beat was sent, ms: what the margin is of.
    pub lend_limit_ms: u64,
    /// The same of home sessions.
    pub home_margin_ms: u64,
    /// All hosts, this one included, by name.
    pub hosts: Vec<HostRow>,
    /// Sessions that all accounts allow, by the records.
    pub sessions: u32,
    /// Of these, those that nobody has.
    pub unclaimed: u32,
    /// The format that records are written in.
    pub format: u32,
    /// The newest that a host speaks.
    pub newest_format: u32,
    /// Hosts that do not speak that one: while there are any it is not in force.
    pub held_back_by: Vec<String>,
    /// Sums since this core began.
    pub sums: Sums,
    /// What a person should read, a sentence each.
    pub remarks: Vec<String>,
}
