//! What stands around the pool, as the status shows it: pools, backends, hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::slow::AnswerTimes;

/// The pool in four numbers, true over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Slots that hold a usable token.
    pub total: u64,
    /// Of these, lent out.
    pub in_use: u64,
    /// Of these, free.
    pub available: u64,
    /// Connections in line.
    pub waiting: u64,
}

/// Pools, backends and hosts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The pools of tokens, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<NamedPool>,
    /// The backends, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendStatus>,
    /// The virtual hosts, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainStatus>,
    /// What was changed by API and cannot be used, or has ended by a change of the file; a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<String>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPool {
    /// Its name.
    pub name: String,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: PoolStatus,
    /// Slots configured.
    pub configured_tokens: u64,
    /// How it gets its tokens.
    #[serde(default)]
    pub provider: String,
}

/// What a circuit breaker does, the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerWord {
    /// It lets all through; so does one that is not enabled.
    #[default]
    Closed,
    /// It lets a few through, to see.
    HalfOpen,
    /// It lets nobody through.
    Open,
}

impl BreakerWord {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// A circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// What it does.
    #[serde(default)]
    pub breaker: BreakerWord,
    /// Failures one after the other, as long as it is closed.
    #[serde(default)]
    pub breaker_failures: u64,
    /// Seconds until somebody is let through again; 0: now.
    #[serde(default)]
    pub breaker_remaining_seconds: u64,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its name.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// Addresses that its name resolved to.
    pub addresses: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its pool, if it has one.
    pub pool: Option<String>,
    /// Its weight.
    pub weight: u32,
    /// `ready`, `drain` or `maint`.
    pub state: String,
    /// Whether it can serve as far as health checks know; true where there are none.
    pub healthy: bool,
    /// What health checks found; `None`: it is not checked.
    pub health: Option<HealthFound>,
    /// Requests under way to it, over all workers.
    #[serde(default)]
    pub in_flight: u64,
    /// Requests that wait for leave (`max_concurrent`), over all workers.
    #[serde(default)]
    pub waiting: u64,
    /// Of the hosts' breakers for it, the one that lets the fewest through.
    #[serde(flatten)]
    pub breaker: BreakerStatus,
    /// That it is left out for what requests met there (`[outlier]`); `None`: it is not.
    #[serde(default)]
    pub ejected: Option<EjectionStatus>,
    /// How long it has taken to answer lately; `None`: it has not answered, or its times are not counted.
    #[serde(default)]
    pub answers: Option<AnswerTimes>,
    /// Whose it is: `file`, `override` or `api`.
    pub source: String,
}

/// That a backend is left out for what requests met there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EjectionStatus {
    /// Since when, Unix seconds; `None`: by an older version, which did not say.
    pub since: Option<u64>,
    /// Until when, Unix seconds.
    pub until: u64,
    /// Seconds until then, rounded up.
    pub remaining_seconds: u64,
    /// The so manieth time in a row: each is longer.
    pub times: u64,
    /// Why, in a few words.
    pub reason: String,
}

/// What health checks found of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthFound {
    /// `up` or `down`.
    pub state: String,
    /// Since when, Unix seconds.
    pub since: u64,
    /// Why the last check that failed did.
    pub last_error: Option<String>,
}

/// A virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Its name.
    pub domain: String,
    /// The tag that serves it.
    pub enabled_backends_tag: String,
    /// Backends that have the tag.
    pub backends: Vec<String>,
    /// How many of those can serve.
    pub healthy_backends: usize,
    /// Its requests under way, over all workers, but for those that wait.
    #[serde(default)]
    pub in_flight: u64,
    /// Those in a line: for a token, or for leave (`max_concurrent`).
    #[serde(default)]
    pub waiting: u64,
    /// Its breaker.
    #[serde(flatten)]
    pub breaker: BreakerStatus,
    /// Its breakers for single backends, by id; those that are closed are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tripped: BTreeMap<String, BreakerStatus>,
    /// Whose it is: `file`, `override` or `api`.
    pub source: String,
}
