//! The whole at one moment: plain values, of which everything that is shown is made.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tpp::{
    control::{
        BreakerWord, CertificateStatus, GatewayStatus, HostsStatus, PoolStatus, PoolTally, Slow,
        SupervisorEvent, WorkerStatus,
    },
    shared::{HostTotals, LatencyCounts, Totals},
};

use crate::{
    acme::Orders,
    health::{Met, Seen},
    hosts::HostsCounts,
};

/// All that is to be seen.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Of the moment it was asked for.
    pub numbers: Numbers,
    /// Perhaps a little older.
    pub details: Arc<Details>,
    /// Pools, backends and hosts, for whoever may order.
    pub gateway: GatewayStatus,
    /// What is slow, and what fails, for the same.
    pub slow: Slow,
    /// Other hosts, and what was counted on the way to them; `None`: this one is alone.
    pub(crate) hosts: Option<(HostsStatus, HostsCounts)>,
}

/// What is read from a few words of the region.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The pool's numbers, of one census.
    pub pool: PoolStatus,
    /// How many accounts there are, if the server refuses them all and nobody waits for a token any more.
    pub all_refused: Option<u64>,
    /// How long the one who waits longest has waited.
    pub longest_wait: Duration,
    /// Leases whose connections ask nothing just now.
    pub idle_leases: u64,
    /// What the workers have counted since the region was made.
    pub totals: Totals,
    /// Log lines that were dropped because nobody read them, of all processes.
    pub log_lines_dropped: u64,
    /// Lines of the access log that were dropped, of all workers.
    pub access_log_dropped: u64,
    /// What left by OTLP.
    pub exports: Exports,
    /// Token refreshes by their results.
    pub refreshes: Refreshes,
    /// What each pool has done.
    pub pools: Vec<PoolTally>,
    /// What each pool has, by name.
    pub(crate) each: BTreeMap<String, OfPool>,
    /// Pools that an operator has paused.
    pub paused: Vec<String>,
    /// Those are all pools that there are.
    pub all_paused: bool,
    /// Times a worker ended unplanned.
    pub worker_restarts: u64,
    /// Since the supervisor began.
    pub uptime: Duration,
}

/// A pool of tokens, as a few words of the region show it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OfPool {
    pub(crate) numbers: PoolStatus,
    pub(crate) paused: bool,
    pub(crate) longest_wait: Duration,
}

/// What costs a walk over accounts, or text.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Each worker process.
    pub workers: Vec<WorkerStatus>,
    /// Workers that should serve.
    pub workers_wanted: usize,
    /// A line for each place whose next worker is put off.
    pub put_off: Vec<String>,
    /// tpp was told to stop.
    pub stopping: bool,
    /// Slots configured.
    pub configured_tokens: u64,
    /// Users whose logins the server refuses, each once.
    pub refused_users: Vec<String>,
    /// Addresses that take clients.
    pub listen: Vec<String>,
    /// Each certificate that clients can be shown.
    pub certificates: Vec<CertificateStatus>,
    /// Certificates ordered by tpp itself; `None`: it orders none.
    pub orders: Option<Orders>,
    /// `host:port` of the upstream.
    pub upstream: String,
    /// Addresses that its name resolves to.
    pub upstream_addresses: Vec<SocketAddr>,
    /// A line for each tag in use of which no backend takes new clients.
    pub unserved: Vec<String>,
    /// What health checks know of each backend that has some.
    pub checks: BTreeMap<String, Seen>,
    /// What requests met at each backend that may be left out for it.
    pub met: BTreeMap<String, Met>,
    /// What was counted of each virtual host; none where nothing is ([`tpp::plan::Plan::counts_hosts`]).
    pub hosts: BTreeMap<String, HostTotals>,
    /// How long backends took to answer: of each host and backend that were used together.
    pub pairs: Vec<(String, String, LatencyCounts)>,
    /// What breakers do: of each host that has one, by itself (no backend), and for each of its backends.
    pub breakers: Vec<(String, String, BreakerWord)>,
    /// How often a configuration was put in force, the first included.
    pub config_generation: u64,
    /// When, Unix seconds.
    pub config_loaded_at: u64,
    /// What the last reload changed, or why it was refused.
    pub last_reload: Option<Result<String, String>>,
    /// The supervisors of this pool.
    pub history: Vec<SupervisorEvent>,
    /// What does not change.
    pub identity: Identity,
}

/// What does not change while a supervisor runs.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Of the supervisor.
    pub version: String,
    /// Address of the health endpoint.
    pub health_listen: String,
    /// Where the management API is, if there is one.
    pub api_listen: Option<String>,
    /// Path of the configuration file; empty for `tpp dev`.
    pub config_file: String,
    /// Its process id.
    pub pid: u32,
    /// When it began, Unix seconds.
    pub started_at: u64,
}

/// What left by OTLP, and what did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exports {
    /// Spans that a collector took.
    pub spans_exported: u64,
    /// Spans that workers had no room for.
    pub spans_dropped: u64,
    /// Spans that no collector took in time.
    pub spans_lost: u64,
    /// Exports that a collector took.
    pub taken: u64,
    /// Exports that failed, each try.
    pub failed: u64,
}

/// Token refreshes by their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshes {
    /// A new token is in.
    pub success: u64,
    /// The server refused the account.
    pub refused: u64,
    /// The server could not be reached or understood.
    pub trouble: u64,
}

impl Details {
    /// Workers that serve.
    #[must_use]
    pub fn workers_ready(&self) -> usize {
        let ready = |worker: &&WorkerStatus| worker.state == "ready";
        self.workers.iter().filter(ready).count()
    }

    /// Whether the last reload was refused, so that the file and what is in force differ.
    #[must_use]
    pub fn last_reload_failed(&self) -> bool {
        matches!(self.last_reload, Some(Err(_)))
    }
}

#[cfg(test)]
pub(crate) mod examples {
    use super::*;

    /// A worker that is ready and has done nothing yet.
    pub(crate) fn worker() -> WorkerStatus {
        WorkerStatus {
            seat: 0,
            epoch: 1,
            pid: 1,
            state: "ready".to_owned(),
            uptime_seconds: 1,
            heartbeat_age_ms: 1,
            connections: 0,
            leases: 0,
            waiting: 0,
            requests: 0,
            errors: 0,
            restarts: 0,
            last_exit: None,
        }
    }

    /// Of a pool, `in_use` of its `total` tokens lent, under one worker.
    pub(crate) fn snapshot(in_use: u64, total: u64) -> Snapshot {
        Snapshot {
            numbers: Numbers {
                pool: PoolStatus {
                    total,
                    in_use,
                    available: total - in_use,
                    waiting: 0,
                },
                ..Numbers::default()
            },
            details: Arc::new(Details {
                workers: vec![worker()],
                workers_wanted: 1,
                configured_tokens: total,
                ..Details::default()
            }),
            gateway: GatewayStatus::default(),
            slow: Slow::default(),
            hosts: None,
        }
    }
}
