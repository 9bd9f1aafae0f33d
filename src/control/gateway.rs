//! What stands around the pool, as the status shows it: pools, backends, hosts.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whose it is: `file`, `override` or `api`.
    pub source: String,
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
    /// Whose it is: `file`, `override` or `api`.
    pub source: String,
}
