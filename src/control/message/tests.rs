//! Pins the encoding of every message, byte by byte.

use super::*;
use crate::control::frame::{decode, encode};

/// Asserts that `message` is encoded as `json`, and that `json` is read as `message`.
#[track_caller]
fn pinned<T>(message: &T, json: &str)
where
    T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let frame = encode(message).unwrap();
    assert_eq!(std::str::from_utf8(&frame[4..]).unwrap(), json);
    assert_eq!(frame[..4], u32::try_from(json.len()).unwrap().to_be_bytes());
    assert_eq!(&decode::<T>(json.as_bytes()).unwrap(), message);
}

fn worker() -> WorkerStatus {
    WorkerStatus {
        seat: 1,
        epoch: 3,
        pid: 4242,
        state: "ready".into(),
        uptime_seconds: 90,
        heartbeat_age_ms: 120,
        connections: 17,
        leases: 16,
        waiting: 1,
        requests: 1000,
        errors: 2,
        restarts: 1,
        last_exit: Some("signal 9".into()),
    }
}

const WORKER: &str = r#"{"seat":1,"epoch":3,"pid":4242,"state":"ready","uptime_seconds":90,"heartbeat_age_ms":120,"connections":17,"leases":16,"waiting":1,"requests":1000,"errors":2,"restarts":1,"last_exit":"signal 9"}"#;

#[test]
fn every_request_has_one_encoding() {
    let refresh = |user: Option<&str>| Command::Refresh {
        user: user.map(Into::into),
    };
    for (command, json) in [
        (Command::Status, r#"{"name":"status"}"#),
        (Command::Workers, r#"{"name":"workers"}"#),
        (Command::Tokens, r#"{"name":"tokens"}"#),
        (Command::Pools, r#"{"name":"pools"}"#),
        (Command::Times, r#"{"name":"times"}"#),
        (
            Command::Switch {
                domain: "a.test".into(),
                tag: "b".into(),
                percent: Some(10),
                require_healthy: true,
            },
            r#"{"name":"switch","domain":"a.test","tag":"b","percent":10,"require_healthy":true}"#,
        ),
        (
            Command::SetState {
                id: "one".into(),
                state: crate::config::BackendState::Drain,
            },
            r#"{"name":"set_state","id":"one","state":"drain"}"#,
        ),
        (Command::Export, r#"{"name":"export"}"#),
        (
            Command::Pause { pool: "p".into() },
            r#"{"name":"pause","pool":"p"}"#,
        ),
        (
            Command::Resume { pool: "p".into() },
            r#"{"name":"resume","pool":"p"}"#,
        ),
        (
            Command::EndLease {
                pool: "p".into(),
                slot: 3,
            },
            r#"{"name":"end_lease","pool":"p","slot":3}"#,
        ),
        (refresh(None), r#"{"name":"refresh","user":null}"#),
        (
            refresh(Some("user1")),
            r#"{"name":"refresh","user":"user1"}"#,
        ),
        (Command::Reload, r#"{"name":"reload"}"#),
        (Command::Restart, r#"{"name":"restart"}"#),
    ] {
        pinned(
            &Request::new(command),
            &format!(r#"{{"version":1,"command":{json}}}"#),
        );
    }
}

#[test]
fn every_short_reply_has_one_encoding() {
    for (reply, json) in [
        (
            Reply::Done("2 workers replaced".into()),
            r#"{"kind":"done","body":"2 workers replaced"}"#,
        ),
        (
            Reply::Failed("no user \"x\"".into()),
            r#"{"kind":"failed","body":"no user \"x\""}"#,
        ),
        (
            Reply::Invalid(vec!["a".into(), "b".into()]),
            r#"{"kind":"invalid","body":["a","b"]}"#,
        ),
    ] {
        pinned(
            &Response::new(reply),
            &format!(r#"{{"version":1,"reply":{json}}}"#),
        );
    }
}

#[test]
fn the_workers_have_one_encoding() {
    let json = format!(r#"{{"version":1,"reply":{{"kind":"workers","body":[{WORKER}]}}}}"#);
    pinned(&Response::new(Reply::Workers(vec![worker()])), &json);
}

#[test]
fn the_tokens_have_one_encoding() {
    let lent = TokenStatus {
        slot: 0,
        user: "user1".into(),
        state: "leased".into(),
        age_seconds: Some(60),
        refresh_in_seconds: Some(3540),
        holder: Some(1),
        uses: 7,
        errors: 0,
        last_error: None,
        fingerprint: Some("0a1b2c3d".into()),
        pool: "default".into(),
        provider: "dolphindb".into(),
        expires_in_seconds: Some(3600),
        last_used_seconds: Some(2),
        held_ms: Some(1500),
        client: Some("192.0.2.9".into()),
        idle_ms: Some(500),
    };
    let refused = TokenStatus {
        slot: 1,
        user: "用户".into(),
        state: "refused".into(),
        age_seconds: None,
        refresh_in_seconds: None,
        holder: None,
        uses: 0,
        errors: 1,
        last_error: Some("login refused".into()),
        fingerprint: None,
        pool: "default".into(),
        provider: "dolphindb".into(),
        expires_in_seconds: None,
        last_used_seconds: None,
        held_ms: None,
        client: None,
        idle_ms: None,
    };
    pinned(
        &Response::new(Reply::Tokens(vec![lent, refused])),
        concat!(
            r#"{"version":1,"reply":{"kind":"tokens","body":["#,
            r#"{"slot":0,"user":"user1","state":"leased","age_seconds":60,"refresh_in_seconds":3540,"holder":1,"uses":7,"errors":0,"last_error":null,"fingerprint":"0a1b2c3d","pool":"default","provider":"dolphindb","expires_in_seconds":3600,"last_used_seconds":2,"held_ms":1500,"client":"192.0.2.9","idle_ms":500},"#,
            r#"{"slot":1,"user":"用户","state":"refused","age_seconds":null,"refresh_in_seconds":null,"holder":null,"uses":0,"errors":1,"last_error":"login refused","fingerprint":null,"pool":"default","provider":"dolphindb","expires_in_seconds":null,"last_used_seconds":null,"held_ms":null,"client":null,"idle_ms":null}"#,
            r#"]}}"#,
        ),
    );
}

#[test]
fn the_pools_have_one_encoding() {
    let hold = Hold {
        pool: "default".into(),
        slot: 2,
        user: "user1".into(),
        held_ms: 1500,
        client: Some("192.0.2.9".into()),
        idle_ms: None,
        worker: 1,
    };
    let pool = PoolSummary {
        name: "default".into(),
        paused: true,
        numbers: PoolStatus {
            total: 4,
            in_use: 1,
            available: 3,
            waiting: 0,
        },
        configured_tokens: 5,
        idle_leases: 1,
        longest_wait_ms: 20,
        all_refused: false,
        provider: "json".into(),
        longest_hold: Some(hold.clone()),
        longest_ended_hold: None,
        failing_accounts: Vec::new(),
    };
    pinned(
        &Response::new(Reply::Pools(vec![pool])),
        concat!(
            r#"{"version":1,"reply":{"kind":"pools","body":["#,
            r#"{"name":"default","paused":true,"total":4,"in_use":1,"available":3,"waiting":0,"#,
            r#""configured_tokens":5,"idle_leases":1,"longest_wait_ms":20,"all_refused":false,"provider":"json","#,
            r#""longest_hold":{"pool":"default","slot":2,"user":"user1","held_ms":1500,"client":"192.0.2.9","idle_ms":null,"worker":1},"#,
            r#""longest_ended_hold":null,"failing_accounts":[]}"#,
            r#"]}}"#,
        ),
    );
}

fn certificate() -> CertificateStatus {
    CertificateStatus {
        name: "example".into(),
        hosts: vec!["example.com".into()],
        issuer: "CN=authority".into(),
        source: "/etc/tpp/example.pem".into(),
        not_after: 1_800_000_000,
        error: Some("it is broken".into()),
        renewal: None,
    }
}

#[test]
fn the_status_has_one_encoding() {
    let status = Status {
        supervisors: vec![SupervisorEvent {
            at: 1_700_000_000,
            how: "adopted".into(),
            version: "0.1.0".into(),
            pid: 99,
            workers: 2,
            leases_freed: 1,
        }],
        status: Health::Degraded,
        reasons: vec!["1 of 2 workers is ready".into()],
        pool: PoolStatus {
            total: 200,
            in_use: 150,
            available: 50,
            waiting: 0,
        },
        configured_tokens: 201,
        version: "0.1.0".into(),
        pid: 99,
        uptime_seconds: 3600,
        listen: vec!["0.0.0.0:8080".into()],
        certificates: vec![certificate()],
        health_listen: "0.0.0.0:9090".into(),
        api_listen: Some("127.0.0.1:8081".into()),
        upstream: "db.example.com:8848".into(),
        upstream_addresses: vec!["192.0.2.1:8848".into()],
        config_file: "/etc/tpp/tpp.toml".into(),
        config_generation: 2,
        config_loaded_at: 1_700_000_000,
        last_reload: Some("in force".into()),
        longest_wait_ms: 5,
        idle_leases: 2,
        gateway: GatewayStatus::default(),
        slow: Slow::default(),
        requests: 10,
        request_errors: 1,
        worker_restarts: 1,
        workers: vec![worker()],
    };
    let json = concat!(
        r#"{"status":"degraded","reasons":["1 of 2 workers is ready"],"#,
        r#""pool":{"total":200,"in_use":150,"available":50,"waiting":0},"configured_tokens":201,"#,
        r#""version":"0.1.0","pid":99,"uptime_seconds":3600,"listen":["0.0.0.0:8080"],"certificates":[{"name":"example","hosts":["example.com"],"issuer":"CN=authority","source":"/etc/tpp/example.pem","not_after":1800000000,"error":"it is broken"}],"#,
        r#""health_listen":"0.0.0.0:9090","api_listen":"127.0.0.1:8081","#,
        r#""upstream":"db.example.com:8848","upstream_addresses":["192.0.2.1:8848"],"#,
        r#""config_file":"/etc/tpp/tpp.toml","config_generation":2,"config_loaded_at":1700000000,"#,
        r#""last_reload":"in force","longest_wait_ms":5,"idle_leases":2,"requests":10,"request_errors":1,"#,
        r#""worker_restarts":1,"workers":["#,
    );
    let supervisors = r#""supervisors":[{"at":1700000000,"how":"adopted","version":"0.1.0","pid":99,"workers":2,"leases_freed":1}]"#;
    let json = format!(
        r#"{{"version":1,"reply":{{"kind":"status","body":{json}{WORKER}],{supervisors}}}}}}}"#
    );
    pinned(&Response::new(Reply::Status(Box::new(status))), &json);
}

#[test]
fn health_is_one_lower_case_word() {
    let words = [Health::Healthy, Health::Degraded, Health::Unhealthy]
        .map(|health| serde_json::to_string(&health).unwrap());
    assert_eq!(words, [r#""healthy""#, r#""degraded""#, r#""unhealthy""#]);
}
