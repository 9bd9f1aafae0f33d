//! A file with every key arrives with every value.

use std::{net::SocketAddr, time::Duration};

use tpp::config::{
    Abandoned, Client, HostHeader, LeaseMode, LogFormat, OtlpProtocol, Proxy, Reset, TokenScope,
};

use crate::*;

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const FULL: &str = r#"
listen = ["127.0.0.1:8080", "[::]:8081"]
trust_forwarded = true
health_listen = "127.0.0.1:9091"
control_socket = "run/control.sock"
credentials_file = "files/two-users"
[workers]
count = 3
drain_timeout_seconds = 0
stop_delay_seconds = 15
worker_timeout_seconds = 4
[upstream]
host = "::1"
port = 0x2290
tls = true
ca_file = "files/ca.pem"
verify = false
connect_timeout_seconds = 5
tls_handshake_timeout_seconds = 6
response_header_timeout_seconds = 0
idle_timeout_seconds = 7
max_idle_connections = 0
read_timeout_seconds = 16
tunnel_timeout_seconds = 0
host_header = "client"
server_name = "other.example"
proxy = "http://[::1]:3128/"
[client]
max_connections = 17
max_connections_per_address = 18
head_timeout_seconds = 19
stall_timeout_seconds = 0
min_rate_bytes_per_second = 20
exchange_timeout_seconds = 21
[token]
ttl_seconds = 90
refresh_check_seconds = 8
renew_on = [440, 401, 440]
busy_pattern = "busy [0-9]+"
scope = "pool"
login_from_clients = false
login_path = "/login"
login_timeout_seconds = 9
login_concurrency = 10
max_token_bytes = 1_000
[lease]
mode = "request"
wait_timeout_seconds = 11
max_waiting = 12
idle_timeout_seconds = 0
contended_idle_ms = 21
max_hold_seconds = 13
max_hold_grace_seconds = 0
abandoned = "login"
abandoned_wait_seconds = 22
reset = "login"
[[credentials]]
username = "user3"
password_file = "files/password"
sessions = 14
[telemetry]
log_filter = "info,tpp=debug"
log_format = "json"
otlp_endpoint = "http://localhost:4317"
otlp_protocol = "http/protobuf"
otlp_metrics_interval_seconds = 0
trace_sample_percent = 33
[metrics]
token_file = "files/password"
"#;

#[test]
fn every_key_of_a_full_top_arrives() {
    let config = toml(FULL);
    assert_eq!(
        ["127.0.0.1:8080", "[::]:8081"].map(address).to_vec(),
        config.listen
    );
    assert!(config.trust_forwarded);
    assert_eq!("127.0.0.1:9091", config.health_listen.to_string());
    assert_eq!(
        Path::new(FIXTURES).join("run/control.sock"),
        config.control_socket
    );
    let workers = config.workers;
    let seconds = Duration::from_secs;
    assert_eq!(
        (3, seconds(0), seconds(4), seconds(15)),
        (
            workers.count,
            workers.drain_timeout,
            workers.worker_timeout,
            workers.stop_delay
        )
    );
    let accounts: Vec<_> = config
        .credentials
        .iter()
        .map(|c| (c.username.as_str(), c.password.expose(), c.sessions))
        .collect();
    let expected = [
        ("user3", "hunter2-do-not-show", 14),
        ("user2", "a:b:c", 1),
        ("user1", "hunter2-do-not-show", 1),
    ];
    assert_eq!(expected.as_slice(), accounts);
    assert_eq!(
        ("info,tpp=debug", LogFormat::Json),
        (
            config.telemetry.log_filter.as_str(),
            config.telemetry.log_format
        )
    );
    assert_eq!(
        Some("http://localhost:4317"),
        config.telemetry.otlp_endpoint.as_deref()
    );
    assert_eq!(
        (OtlpProtocol::Http, None, Some(33)),
        (
            config.telemetry.protocol_at(Some(4317)),
            config.telemetry.otlp_metrics_interval,
            config.telemetry.trace_percent()
        )
    );
    let token = config.metrics.token.as_ref().map(|token| token.expose());
    assert_eq!(Some("hunter2-do-not-show"), token);
}

#[test]
fn every_key_of_a_full_upstream_arrives() {
    let upstream = toml(FULL).upstream;
    let seconds = Duration::from_secs;
    assert_eq!(
        ("::1", 8848, true, false),
        (
            upstream.host.as_str(),
            upstream.port,
            upstream.tls,
            upstream.verify
        )
    );
    assert_eq!(
        Some(Path::new(FIXTURES).join("files/ca.pem")),
        upstream.ca_file
    );
    assert_eq!(
        (seconds(5), seconds(6)),
        (upstream.connect_timeout, upstream.tls_handshake_timeout)
    );
    assert_eq!(
        (None, seconds(7), 0),
        (
            upstream.response_header_timeout,
            upstream.idle_timeout,
            upstream.max_idle_connections
        )
    );
    assert_eq!(
        (Some(seconds(16)), None, HostHeader::Client),
        (
            upstream.read_timeout,
            upstream.tunnel_timeout,
            upstream.host_header
        )
    );
    let proxy = Proxy::At {
        host: "::1".to_owned(),
        port: 3128,
    };
    assert_eq!(
        (Some("other.example"), &proxy),
        (upstream.server_name.as_deref(), &upstream.proxy)
    );
}

#[test]
fn every_key_of_a_full_client_token_and_lease_arrives() {
    let config = toml(FULL);
    let seconds = Duration::from_secs;
    let client = Client {
        max_connections: Some(17),
        max_connections_per_address: Some(18),
        head_timeout: Some(seconds(19)),
        stall_timeout: None,
        min_rate: Some(20),
        exchange_timeout: Some(seconds(21)),
    };
    assert_eq!(client, config.client);
    let (token, lease) = (config.token, config.lease);
    assert_eq!(
        (vec![401, 440], "busy [0-9]+", TokenScope::Pool, false),
        (
            token.renew_on,
            token.busy_pattern.as_str(),
            token.scope,
            token.login_from_clients
        )
    );
    assert_eq!(
        (seconds(90), seconds(8), "/login"),
        (token.ttl, token.refresh_check, token.login_path.as_str())
    );
    assert_eq!(
        (seconds(9), 10, 1000),
        (
            token.login_timeout,
            token.login_concurrency,
            token.max_token_bytes
        )
    );
    assert_eq!(
        (LeaseMode::Request, Some(seconds(11)), Some(12)),
        (lease.mode, lease.wait_timeout, lease.max_waiting)
    );
    assert_eq!(
        (None, Some(seconds(13))),
        (lease.idle_timeout, lease.max_hold)
    );
    assert_eq!(
        (Some(Duration::from_millis(21)), seconds(0)),
        (lease.contended_idle, lease.max_hold_grace)
    );
    assert_eq!(
        (Abandoned::Login, seconds(22), Reset::Login),
        (lease.abandoned, lease.abandoned_wait, lease.reset)
    );
}
