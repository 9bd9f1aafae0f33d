//! What `tppctl` prints, on examples: a healthy tpp and a troubled one.

mod backends;
mod form;
mod pages;
mod slow;
mod tables;

use tpp::control::{GatewayStatus, Health, PoolStatus, Status, TokenStatus, WorkerStatus};

use super::*;

const NOW: u64 = 1_700_000_312;
const PLAIN: Page = Page {
    width: 80,
    colour: false,
};
const COLOURED: Page = Page {
    width: 80,
    colour: true,
};

fn worker(seat: u32, state: &str) -> WorkerStatus {
    WorkerStatus {
        seat,
        epoch: 1,
        pid: 4_194_303,
        state: state.into(),
        uptime_seconds: 187_200,
        heartbeat_age_ms: 120,
        connections: 70,
        leases: 64,
        waiting: 6,
        requests: 617_283,
        errors: 0,
        restarts: 0,
        last_exit: None,
    }
}

fn healthy() -> Status {
    Status {
        supervisors: Vec::new(),
        status: Health::Healthy,
        reasons: vec![],
        pool: PoolStatus {
            total: 200,
            in_use: 130,
            available: 70,
            waiting: 0,
        },
        configured_tokens: 200,
        version: "0.1.0".into(),
        pid: 4242,
        uptime_seconds: 187_200,
        listen: vec!["0.0.0.0:8080".into()],
        certificates: Vec::new(),
        health_listen: "0.0.0.0:9090".into(),
        api_listen: None,
        upstream: "192.0.2.7:8848".into(),
        upstream_addresses: vec!["192.0.2.7:8848".into()],
        config_file: "/etc/tpp/tpp.toml".into(),
        config_generation: 1,
        config_loaded_at: 1_700_000_000,
        last_reload: None,
        longest_wait_ms: 0,
        idle_leases: 3,
        gateway: GatewayStatus::default(),
        slow: tpp::control::Slow::default(),
        requests: 1_234_567,
        request_errors: 1,
        worker_restarts: 0,
        workers: vec![worker(0, "ready"), worker(1, "ready")],
    }
}

fn troubled() -> Status {
    let gone = WorkerStatus {
        pid: 0,
        uptime_seconds: 0,
        restarts: 7,
        last_exit: Some("killed by signal 9 (SIGKILL)".into()),
        ..worker(1, "backoff")
    };
    Status {
        status: Health::Degraded,
        reasons: vec![
            "1 of 2 workers is ready".into(),
            "login refused for user3, user4, user5, user6, user7, user8, user9, user10 and 3 more"
                .into(),
        ],
        pool: PoolStatus {
            total: 189,
            in_use: 189,
            available: 0,
            waiting: 12,
        },
        upstream: "dolphindb.example.com:8848".into(),
        upstream_addresses: vec![
            "192.0.2.7:8848".into(),
            "[2001:db8:85a3::8a2e:370:7334]:8848".into(),
        ],
        config_generation: 3,
        last_reload: Some(
            "refused: tpp.toml:3: lissten: found an unknown key; allowed: listen".into(),
        ),
        longest_wait_ms: 1250,
        idle_leases: 0,
        gateway: GatewayStatus::default(),
        slow: tpp::control::Slow::default(),
        request_errors: 15,
        worker_restarts: 7,
        workers: vec![worker(0, "ready"), gone],
        ..healthy()
    }
}

fn token(slot: u32, user: &str, state: &str) -> TokenStatus {
    TokenStatus {
        slot,
        user: user.into(),
        state: state.into(),
        age_seconds: Some(754),
        refresh_in_seconds: Some(2846),
        holder: None,
        uses: 31_415,
        errors: 0,
        last_error: None,
        fingerprint: Some("0a1b2c3d".into()),
        pool: "default".into(),
        provider: "dolphindb".into(),
        expires_in_seconds: Some(3600),
        last_used_seconds: Some(2),
        held_ms: None,
        client: None,
        idle_ms: None,
    }
}

fn refused() -> TokenStatus {
    TokenStatus {
        age_seconds: None,
        refresh_in_seconds: None,
        uses: 0,
        errors: 3,
        last_error: Some(
            "login refused: The user name or password is incorrect, says the server at length"
                .into(),
        ),
        fingerprint: None,
        expires_in_seconds: None,
        last_used_seconds: None,
        held_ms: None,
        client: None,
        idle_ms: None,
        ..token(2, "user2", "refused")
    }
}

/// Asserts that `text` is `expected`, and that each line is within 80 columns.
#[track_caller]
fn shown(text: &str, expected: &str) {
    assert_eq!(text, expected, "got:\n{text}\nexpected:\n{expected}");
    for line in text.lines() {
        assert!(text::width(line) <= 80, "{line}");
    }
}
