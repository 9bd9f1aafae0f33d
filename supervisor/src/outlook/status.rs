//! The whole picture: for `tppctl`, which may know all, and for the health endpoint, which anybody may ask.

use serde::Serialize;
use tpp::control::{Health, PoolStatus, Status, WorkerStatus};

use super::{
    health::{Audience, assess},
    snapshot::Snapshot,
};

/// The answer to `tppctl status`.
#[must_use]
pub fn status(snapshot: &Snapshot) -> Status {
    let (status, reasons) = assess(snapshot, Audience::Operator);
    let (numbers, details) = (&snapshot.numbers, &*snapshot.details);
    let identity = &details.identity;
    let addresses = details.upstream_addresses.iter();
    Status {
        status,
        reasons,
        pool: numbers.pool,
        configured_tokens: details.configured_tokens,
        version: identity.version.clone(),
        pid: identity.pid,
        uptime_seconds: numbers.uptime.as_secs(),
        listen: details.listen.clone(),
        certificates: details.certificates.clone(),
        health_listen: identity.health_listen.clone(),
        api_listen: identity.api_listen.clone(),
        upstream: details.upstream.clone(),
        upstream_addresses: addresses.map(ToString::to_string).collect(),
        config_file: identity.config_file.clone(),
        config_generation: details.config_generation,
        config_loaded_at: details.config_loaded_at,
        last_reload: details.last_reload.as_ref().map(|result| match result {
            Ok(changes) => format!("done: {changes}"),
            Err(reason) => format!("refused: {reason}"),
        }),
        longest_wait_ms: milliseconds(numbers.longest_wait),
        idle_leases: numbers.idle_leases,
        requests: numbers.totals.requests,
        request_errors: numbers.totals.request_errors,
        worker_restarts: numbers.worker_restarts,
        workers: details.workers.clone(),
        supervisors: details.history.clone(),
        gateway: snapshot.gateway.clone(),
        slow: snapshot.slow.clone(),
    }
}

/// What anybody may know who reaches the health endpoint: no account, no process, no path.
#[derive(Debug, Serialize)]
pub struct PublicHealth<'a> {
    status: Health,
    reasons: Vec<String>,
    pool: PoolStatus,
    configured_tokens: u64,
    version: &'a str,
    uptime_seconds: u64,
    upstream_addresses: usize,
    config_generation: u64,
    config_loaded_at: u64,
    last_reload: Option<&'static str>,
    longest_wait_ms: u64,
    requests: u64,
    request_errors: u64,
    worker_restarts: u64,
    workers: Vec<PublicWorker<'a>>,
}

/// A worker, without its process.
#[derive(Debug, Serialize)]
struct PublicWorker<'a> {
    seat: u32,
    state: &'a str,
    uptime_seconds: u64,
    heartbeat_age_ms: u64,
    connections: u64,
    leases: u64,
    waiting: u64,
    requests: u64,
    errors: u64,
    restarts: u64,
}

impl<'a> PublicHealth<'a> {
    /// Of `snapshot`.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let (status, reasons) = assess(snapshot, Audience::Anybody);
        let (numbers, details) = (&snapshot.numbers, &*snapshot.details);
        let last_reload = details.last_reload.as_ref();
        Self {
            status,
            reasons,
            pool: numbers.pool,
            configured_tokens: details.configured_tokens,
            version: &details.identity.version,
            uptime_seconds: numbers.uptime.as_secs(),
            upstream_addresses: details.upstream_addresses.len(),
            config_generation: details.config_generation,
            config_loaded_at: details.config_loaded_at,
            last_reload: last_reload.map(|result| if result.is_ok() { "done" } else { "refused" }),
            longest_wait_ms: milliseconds(numbers.longest_wait),
            requests: numbers.totals.requests,
            request_errors: numbers.totals.request_errors,
            worker_restarts: numbers.worker_restarts,
            workers: details.workers.iter().map(PublicWorker::of).collect(),
        }
    }

    /// In one word.
    #[must_use]
    pub fn health(&self) -> Health {
        self.status
    }
}

impl<'a> PublicWorker<'a> {
    fn of(worker: &'a WorkerStatus) -> Self {
        Self {
            seat: worker.seat,
            state: &worker.state,
            uptime_seconds: worker.uptime_seconds,
            heartbeat_age_ms: worker.heartbeat_age_ms,
            connections: worker.connections,
            leases: worker.leases,
            waiting: worker.waiting,
            requests: worker.requests,
            errors: worker.errors,
            restarts: worker.restarts,
        }
    }
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outlook::snapshot::examples;

    fn snapshot() -> Snapshot {
        let mut snapshot = examples::snapshot(0, 1);
        let details = Arc::make_mut(&mut snapshot.details);
        details.workers[0].pid = 55_555;
        details.configured_tokens = 2;
        details.refused_users = vec!["alice".to_owned()];
        details.last_reload = Some(Err("/etc/secret-place/tpp.toml:1: wrong".to_owned()));
        details.identity.config_file = "/etc/secret-place/tpp.toml".to_owned();
        details.identity.pid = 44_444;
        snapshot
    }

    #[test]
    fn anybody_learns_no_user_no_process_and_no_path() {
        let snapshot = snapshot();
        let shown = serde_json::to_string(&PublicHealth::of(&snapshot)).expect("plain data");
        for secret in ["alice", "44444", "55555", "secret-place"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("login refused for 1 account"), "{shown}");
        assert!(shown.contains(r#""last_reload":"refused""#), "{shown}");
    }

    #[test]
    fn an_operator_learns_them_all() {
        let shown = serde_json::to_string(&status(&snapshot())).expect("plain data");
        for fact in ["alice", "44444", "55555", "secret-place"] {
            assert!(shown.contains(fact), "{fact} in {shown}");
        }
    }
}
