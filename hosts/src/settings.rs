//! What is configured, and what a host knows when it starts.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::{Account, Session, Upstream};
use crate::deadlines::Class;
use crate::formats::Formats;
use crate::records::Incarnation;

/// How a dead host's sessions come back into use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Takeover {
    /// With a login at once; a server that still counts the old token answers *busy*, which is tried again.
    Login,
    /// When the old token has run out at the server: so long after it was seen that they were taken, ns.
    Expire {
        /// A token's whole life, ns.
        token_life: u64,
    },
}

/// `[hosts]` and the accounts. Durations are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// What all keys begin with, such as `/tpp/1/`.
    pub prefix: String,
    /// Whose accounts they are.
    pub upstream: Upstream,
    /// The cluster's name.
    pub cluster: String,
    /// This host's name ([`is_name`](crate::keys::is_name)).
    pub name: String,
    /// This machine: a hash of the id file in the state directory, machine-id and DMI uuid.
    pub host: String,
    /// `takeover_seconds`. What `meta` says wins: all hosts must reckon with one.
    pub takeover: u64,
    /// `home_takeover_seconds`; the same.
    pub home_takeover: u64,
    /// Share of its sessions that a host keeps without etcd, 0 to 100.
    pub home_percent: u32,
    /// Hosts expected at start; 0: those that are there.
    pub expected: u32,
    /// Sessions that a host with waiters has at least.
    pub min_share: u32,
    /// How much longer somebody may wait at another host before a session moves there.
    pub fair_gap: u64,
    /// How a dead host's sessions come back into use.
    pub takeover_by: Takeover,
    /// The accounts with how many sessions each allows.
    pub accounts: BTreeMap<Account, u32>,
    /// tpp's version.
    pub version: String,
    /// The formats of records that it speaks.
    pub formats: Formats,
}

/// What outlives a supervisor: the shell keeps it in the region and gives it to the successor's core.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// This life.
    pub inc: Incarnation,
    /// The generation that this host acts under.
    pub generation: u64,
    /// The revision of `g/NAME` that beats are conditioned upon.
    pub generation_revision: i64,
    /// etcd's `cluster_id`.
    pub cluster: u64,
    /// The highest revision seen.
    pub revision: i64,
    /// When the last beat that succeeded was sent, ns of `CLOCK_BOOTTIME`; 0: none did.
    pub beaten: u64,
    /// `takeover` in force, ns.
    pub takeover: u64,
    /// `home_takeover` in force, ns.
    pub home_takeover: u64,
}

/// What a core begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Start {
    /// What is configured.
    pub settings: Settings,
    /// From the region, if it is a predecessor's. `None` says that no process of an earlier life of this host's name on this
    /// machine is alive: the shell holds the exclusive lock that every worker inherits, and waited for it if it had to.
    pub memory: Option<Memory>,
    /// With `memory`: what the region's slots are doing, whether lent or on the way out.
    pub held: Vec<(Session, Class)>,
    /// 128 random bits: the next life, where one begins.
    pub random: [u8; 16],
}
