//! Other hosts before the same servers, as `tppctl hosts` and the API tell of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an operator wishes of this host's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "wish")]
pub enum HostsOrder {
    /// Give everything away, as it falls free.
    Drain,
    /// Take part again after that.
    Stay,
    /// Give so many sessions to a host.
    Give {
        /// How many.
        sessions: u32,
        /// To whom.
        host: String,
    },
    /// All sessions of a silent host may be taken: a person knows that it is off.
    Release {
        /// Which.
        host: String,
    },
    /// The store is another one, or an older, and is right.
    Adopt,
}

/// All there is to see of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostsStatus {
    /// This host's name.
    pub name: String,
    /// The cluster's.
    pub cluster: String,
    /// By pool.
    pub pools: BTreeMap<String, SharedPoolStatus>,
    /// The members of etcd.
    pub members: Vec<EtcdStatus>,
}

/// One pool's accounts, over all hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SharedPoolStatus {
    /// What this host is doing: starting, waiting, joined, rejoining, other_store, leaving, left or refused.
    pub phase: String,
    /// Whether this host has sessions of it, to be lent.
    pub ready: bool,
    /// What it waits for before it begins.
    pub waits_for: Option<String>,
    /// For how much longer floating sessions are lent without another sign of life, milliseconds.
    pub lend_margin_ms: u64,
    /// How long they are lent after one, milliseconds; 0: not known yet.
    #[serde(default)]
    pub lend_limit_ms: u64,
    /// The same of home sessions.
    pub home_margin_ms: u64,
    /// Sessions that all accounts allow.
    pub sessions: u32,
    /// Of these, those that nobody has.
    pub unclaimed: u32,
    /// The format that records in etcd are written in.
    #[serde(default)]
    pub format: u32,
    /// The newest that a host speaks.
    #[serde(default)]
    pub newest_format: u32,
    /// Hosts that do not speak that one, and keep it from being in force.
    #[serde(default)]
    pub held_back_by: Vec<String>,
    /// All hosts.
    pub hosts: Vec<HostLine>,
    /// Sessions that came to this host or went from it, by reason.
    pub moved: BTreeMap<String, u64>,
    /// Times that floating sessions lapsed here.
    pub lapses: u64,
    /// Times that others took this host's floating sessions.
    pub fenced: u64,
    /// What a person should read.
    pub remarks: Vec<String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostLine {
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub me: bool,
    /// live, leaving, silent, fenced or off.
    pub state: String,
    /// How long ago it showed itself last, milliseconds.
    pub beat_ms: u64,
    /// Floating sessions that it has.
    pub floating: u32,
    /// Home sessions.
    pub home: u32,
    /// Of both, those in use.
    pub in_use: u32,
    /// Those idle.
    pub idle: u32,
    /// Who waits there.
    pub waiting: u32,
    /// How long the first of them has waited, milliseconds.
    pub oldest_ms: u64,
    /// Its version of tpp.
    pub version: String,
    /// The oldest and the newest format of records that it speaks.
    #[serde(default)]
    pub formats: [u32; 2],
    /// A fingerprint of its accounts.
    pub config: String,
    /// Whether that differs from this host's.
    pub differs: bool,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EtcdStatus {
    /// Where it is asked.
    pub endpoint: String,
    /// Its version; `None`: it does not answer.
    pub version: Option<String>,
    /// Bytes of its database.
    pub db_bytes: u64,
    /// Why it does not answer, or what it complains of.
    pub trouble: Option<String>,
}
