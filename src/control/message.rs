//! What `tppctl` may ask and what the supervisor answers.
//!
//! The encoding is a contract between programs that may be of different ages: `tests` pins it to the
//! byte, and a change that an older peer cannot read asks for a new [`PROTOCOL_VERSION`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    certificate::CertificateStatus,
    gateway::{GatewayStatus, PoolStatus},
    hosts::{HostsOrder, HostsStatus},
    report::PoolTally,
    slow::{FailingAccount, Hold, HoldEnded, Slow},
    times::TimesTally,
};
use crate::config::BackendState;

/// Version of the messages below; a peer of another version is told so and refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// What is sent to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u32,
    /// What is asked.
    pub command: Command,
}

impl Request {
    /// `command`, under this build's version.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            version: PROTOCOL_VERSION,
            command,
        }
    }
}

/// What the supervisor sends back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// [`PROTOCOL_VERSION`] of the supervisor.
    pub version: u32,
    /// Its answer.
    pub reply: Reply,
}

impl Response {
    /// `reply`, under this build's version.
    #[must_use]
    pub fn new(reply: Reply) -> Self {
        Self {
            version: PROTOCOL_VERSION,
            reply,
        }
    }
}

/// The questions and orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Command {
    /// The whole picture.
    Status,
    /// Each worker.
    Workers,
    /// Each slot.
    Tokens,
    /// Each pool.
    Pools,
    /// What each pool has done.
    Report,
    /// How long waits and answers took.
    Times,
    /// Have backends of another tag serve a virtual host.
    Switch {
        /// Its domain.
        domain: String,
        /// The tag.
        tag: String,
        /// So many percent of the clients; `None`: all.
        percent: Option<u32>,
        /// Only if a backend with the tag can serve.
        require_healthy: bool,
    },
    /// Say what is wanted of a backend.
    SetState {
        /// Its id.
        id: String,
        /// What.
        state: BackendState,
    },
    /// Wait until a backend that takes nothing new has nothing under way.
    AwaitEmpty {
        /// Its id.
        id: String,
        /// How long at most.
        seconds: u64,
    },
    /// Pools, backends and hosts as they are in force, in the words of the configuration file.
    Export,
    /// Lend nothing of a pool for now.
    Pause {
        /// Its name.
        pool: String,
    },
    /// Lend again.
    Resume {
        /// Its name.
        pool: String,
    },
    /// Cut off whoever holds a slot.
    EndLease {
        /// The pool's name.
        pool: String,
        /// The slot.
        slot: u32,
    },
    /// Log in anew: one user's slots, or all.
    Refresh {
        /// `None`: all users.
        user: Option<String>,
    },
    /// Other hosts before the same servers.
    Hosts,
    /// What an operator wishes of this host's part.
    OrderHosts(HostsOrder),
    /// Read the configuration again and put it in force.
    Reload,
    /// Replace all workers one by one.
    Restart,
    /// Start another executable in the supervisor's place, and replace all workers.
    Upgrade {
        /// Its file, absolute; `None`: the one that the supervisor was started from.
        path: Option<PathBuf>,
    },
}

/// The supervisor's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "body")]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Workers`].
    Workers(Vec<WorkerStatus>),
    /// To [`Command::Tokens`].
    Tokens(Vec<TokenStatus>),
    /// To [`Command::Pools`].
    Pools(Vec<PoolSummary>),
    /// To [`Command::Report`].
    Report(Vec<PoolTally>),
    /// To [`Command::Times`].
    Times(Vec<TimesTally>),
    /// To [`Command::Hosts`].
    Hosts(Box<HostsStatus>),
    /// To [`Command::Export`].
    Text(String),
    /// Done; one line says what.
    Done(String),
    /// Not done; one line says why.
    Failed(String),
    /// Not done, and nothing has changed: the new configuration is wrong. One line a problem.
    Invalid(Vec<String>),
}

/// Health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All slots usable, all workers ready.
    Healthy,
    /// It serves, but something is missing.
    Degraded,
    /// It cannot serve.
    Unhealthy,
}

/// A pool in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSummary {
    /// Its name.
    pub name: String,
    /// Whether nothing is lent for now.
    pub paused: bool,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: PoolStatus,
    /// Slots configured: the sum of all `sessions`.
    pub configured_tokens: u64,
    /// Leases whose connections ask nothing just now.
    pub idle_leases: u64,
    /// How long the one who waits longest has waited, milliseconds.
    pub longest_wait_ms: u64,
    /// Whether the server refuses all its accounts, and no token is left.
    pub all_refused: bool,
    /// How it gets its tokens.
    #[serde(default)]
    pub provider: String,
    /// Who has held a token longest, of those that hold one.
    #[serde(default)]
    pub longest_hold: Option<Hold>,
    /// The longest hold that ended in the last minutes, if it was a second or more.
    #[serde(default)]
    pub longest_ended_hold: Option<HoldEnded>,
    /// Accounts whose last logins failed.
    #[serde(default)]
    pub failing_accounts: Vec<FailingAccount>,
}

/// A pool with its slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolDetails {
    /// The pool in a line.
    #[serde(flatten)]
    pub summary: PoolSummary,
    /// Each slot.
    pub tokens: Vec<TokenStatus>,
}

/// The whole picture. `/health` serves the same JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// In one word.
    pub status: Health,
    /// Why it is not healthy; empty when it is.
    pub reasons: Vec<String>,
    /// The pool's numbers.
    pub pool: PoolStatus,
    /// Slots configured: the sum of all `sessions`.
    pub configured_tokens: u64,
    /// Version of the supervisor.
    pub version: String,
    /// Supervisor's process id.
    pub pid: u32,
    /// Seconds since the supervisor began.
    pub uptime_seconds: u64,
    /// Addresses that take clients.
    pub listen: Vec<String>,
    /// Each certificate that clients can be shown.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// Address of the health endpoint.
    pub health_listen: String,
    /// Where the management API is: an address, or `unix:` and a path; `None`: there is none.
    #[serde(default)]
    pub api_listen: Option<String>,
    /// `host:port` of the upstream.
    pub upstream: String,
    /// Addresses the upstream's name resolved to.
    pub upstream_addresses: Vec<String>,
    /// Path of the configuration file in force; empty for `tpp dev`.
    pub config_file: String,
    /// How often a configuration was put in force, the first included.
    pub config_generation: u64,
    /// When it was put in force, Unix seconds.
    pub config_loaded_at: u64,
    /// Result of the last reload, if there was one.
    pub last_reload: Option<String>,
    /// How long the one who waits longest has waited, milliseconds.
    pub longest_wait_ms: u64,
    /// Leases whose connections ask nothing just now.
    #[serde(default)]
    pub idle_leases: u64,
    /// Requests served since start.
    pub requests: u64,
    /// Requests that tpp answered with an error of its own.
    pub request_errors: u64,
    /// Times a worker ended unplanned.
    pub worker_restarts: u64,
    /// Each worker.
    pub workers: Vec<WorkerStatus>,
    /// The supervisors of this pool, the latest last.
    #[serde(default)]
    pub supervisors: Vec<SupervisorEvent>,
    /// Pools, backends and hosts.
    #[serde(flatten)]
    pub gateway: GatewayStatus,
    /// What is slow, and what fails.
    #[serde(default, skip_serializing_if = "Slow::is_empty")]
    pub slow: Slow,
}

/// How a supervisor came into charge of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorEvent {
    /// When, Unix seconds.
    pub at: u64,
    /// `started` with a new pool, `adopted` the pool of one that was gone, or `upgraded` in another one's place.
    pub how: String,
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Workers that it took over.
    pub workers: u64,
    /// Leases that it freed, of workers that had died meanwhile.
    pub leases_freed: u64,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its seat.
    pub seat: u32,
    /// How often the seat was filled.
    pub epoch: u64,
    /// Process id.
    pub pid: u32,
    /// starting, ready, draining, stalled or backoff.
    pub state: String,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Milliseconds since its last heartbeat.
    pub heartbeat_age_ms: u64,
    /// Open downstream connections.
    pub connections: u64,
    /// Leases it holds.
    pub leases: u64,
    /// Connections that wait in it.
    pub waiting: u64,
    /// Requests it served.
    pub requests: u64,
    /// Requests it answered with an error of its own.
    pub errors: u64,
    /// Unplanned ends of this seat's workers.
    pub restarts: u64,
    /// How the last one ended, if one did.
    pub last_exit: Option<String>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Index of the slot.
    pub slot: u32,
    /// User it was drawn for.
    pub user: String,
    /// empty, free, leased, offered, paused, renewing, suspect, expired, refused or retiring.
    pub state: String,
    /// Seconds since its login; `None` without a token.
    pub age_seconds: Option<u64>,
    /// Seconds until it is renewed; `None` without a token.
    pub refresh_in_seconds: Option<u64>,
    /// Seat of the holder.
    pub holder: Option<u32>,
    /// Requests sent with this slot.
    pub uses: u64,
    /// Logins that failed.
    pub errors: u64,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// First 8 hex digits of a keyed hash of the token: the same token shows the same ones.
    pub fingerprint: Option<String>,
    /// The pool whose it is.
    #[serde(default)]
    pub pool: String,
    /// How that gets its tokens.
    #[serde(default)]
    pub provider: String,
    /// Seconds until its token is no good any more; `None` without one.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
    /// Seconds since the last request was sent with the slot; `None`: never.
    #[serde(default)]
    pub last_used_seconds: Option<u64>,
    /// How long it has been held, milliseconds; `None`: it is not, or its holder has not said so.
    #[serde(default)]
    pub held_ms: Option<u64>,
    /// The holder's client, if it has an address.
    #[serde(default)]
    pub client: Option<String>,
    /// For how long the holder's connection has asked nothing, milliseconds; `None`: a request is under way, or nobody holds it.
    #[serde(default)]
    pub idle_ms: Option<u64>,
}

#[cfg(test)]
mod tests;
