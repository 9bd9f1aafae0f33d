//! What is written, and what arrives.

use std::{net::SocketAddr, time::Duration};

use tpp::config::{
    Abandoned, Client, HostHeader, LeaseMode, LogFormat, OtlpProtocol, Proxy, Reset, TokenScope,
};

use crate::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn variables_override_the_file_and_stand_for_what_it_lacks() {
    let vars = variables(&[
        ("TPP_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("TPP_HEALTH_LISTEN", "127.0.0.1:3"),
        ("TPP_UPSTREAM_HOST", "10.0.0.5"),
        ("TPP_UPSTREAM_PORT", "4"),
        ("TPP_UPSTREAM_TLS", "1"),
        ("TPP_TOKEN_TTL_SECONDS", "50"),
        ("TPP_TOKEN_REFRESH_CHECK_SECONDS", "6"),
        ("TPP_TELEMETRY_OTLP_ENDPOINT", "https://otel:4317"),
        ("TPP_TELEMETRY_LOG_FILTER", "debug"),
        ("RUST_LOG", "trace"),
    ]);
    // Neither a host nor a sound port: the variables make both good.
    let text = "[upstream]\nport = 0\n[[credentials]]\nusername = 'user1'\npassword = 'x'\n";
    let config = parse("tpp.toml", text, &vars).unwrap();
    assert_eq!(
        ["127.0.0.1:1", "[::1]:2"].map(address).to_vec(),
        config.listen
    );
    assert_eq!("127.0.0.1:3", config.health_listen.to_string());
    assert_eq!(
        ("10.0.0.5", 4, true),
        (
            config.upstream.host.as_str(),
            config.upstream.port,
            config.upstream.tls
        )
    );
    assert_eq!(Duration::from_secs(50), config.token.ttl);
    assert_eq!(Duration::from_secs(6), config.token.refresh_check);
    assert_eq!(
        Some("https://otel:4317"),
        config.telemetry.otlp_endpoint.as_deref()
    );
    assert_eq!("debug", config.telemetry.log_filter);
}

#[test]
fn rust_log_overrides_the_file_and_an_empty_variable_nothing() {
    let text = format!("{LEAST}[telemetry]\nlog_filter = 'warn'\n");
    let filter = |pairs: &[(&str, &str)]| {
        parse("tpp.toml", &text, &variables(pairs))
            .unwrap()
            .telemetry
            .log_filter
    };
    assert_eq!("trace", filter(&[("RUST_LOG", "trace")]));
    assert_eq!(
        "trace",
        filter(&[("RUST_LOG", "trace"), ("TPP_TELEMETRY_LOG_FILTER", "")])
    );
    assert_eq!("warn", filter(&[("RUST_LOG", "")]));
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

#[test]
fn a_file_of_the_first_tpp_is_read_as_it_is() {
    let text = r#"
listen: "0.0.0.0:8080"
health_listen: "0.0.0.0:9090"
upstream:
  host: "dolphindb.example.com"
  port: 8849
  tls: false
credential:
  username: "alice"
  password: "hunter2"
token:
  pool_size: 200
  ttl_seconds: 1800
  refresh_check_seconds: 30
telemetry:
  # otlp_endpoint: "http://localhost:4317"
  log_filter: "tpp=debug"
"#;
    let config = parse("config.yaml", text, &Variables::new()).unwrap();
    assert_eq!(
        ("dolphindb.example.com", 8849),
        (config.upstream.host.as_str(), config.upstream.port)
    );
    assert_eq!(
        (Duration::from_secs(1800), Duration::from_secs(30)),
        (config.token.ttl, config.token.refresh_check)
    );
    assert_eq!("tpp=debug", config.telemetry.log_filter);
    let account = &config.credentials[0];
    assert_eq!(
        ("alice", "hunter2", 200),
        (
            account.username.as_str(),
            account.password.expose(),
            account.sessions
        )
    );
    assert_eq!(200, config.sessions());
}

#[test]
fn the_first_tpp_drew_ten_sessions_unless_told_otherwise() {
    let text =
        "upstream: {host: db}\ncredential: {username: alice, password: hunter2}\ntelemetry:\n";
    assert_eq!(
        10,
        parse("config.yml", text, &Variables::new())
            .unwrap()
            .sessions()
    );
}

#[test]
fn yaml_and_toml_with_the_same_keys_are_the_same() {
    let yaml = "
listen: ['127.0.0.1:1', '127.0.0.1:2']
upstream: &upstream_anchor
  host: db
  tls: true
lease:
  mode: request
credentials:
  - {username: user1, password: &shared hunter2, sessions: 2}
  - username: user2
    password: *shared
";
    let text = "
listen = ['127.0.0.1:1', '127.0.0.1:2']
upstream = { host = 'db', tls = true }
lease.mode = 'request'
credentials = [
  { username = 'user1', password = 'hunter2', sessions = 2 },
  { username = 'user2', password = 'hunter2' },
]
";
    assert_eq!(
        toml(text),
        parse("tpp.yaml", yaml, &Variables::new()).unwrap()
    );
}

#[test]
fn a_busy_server_is_known_by_its_words_and_a_refusal_is_not_taken_for_one() {
    let pattern = regex::Regex::new(&toml(LEAST).token.busy_pattern).unwrap();
    for busy in [
        "Maximum connections 512 reached. RefId:S00006",
        "The maximum number of connections has been reached",
        "the node is not ready",
        "Server is starting up, try later",
    ] {
        assert!(pattern.is_match(busy), "{busy}");
    }
    for refusal in [
        "The user name or password is incorrect",
        "The user is locked",
        "",
    ] {
        assert!(!pattern.is_match(refusal), "{refusal}");
    }
}

#[test]
fn a_limit_of_zero_is_none_and_a_list_may_be_empty() {
    let config = toml(&format!(
        "{LEAST}[client]\nhead_timeout_seconds = 0\nmin_rate_bytes_per_second = 0\n\
         [token]\nrenew_on = []\n[lease]\ncontended_idle_ms = 0\n"
    ));
    assert_eq!(
        (None, None),
        (config.client.head_timeout, config.client.min_rate)
    );
    assert_eq!(Vec::<u16>::new(), config.token.renew_on);
    assert_eq!(None, config.lease.contended_idle);
}

#[test]
fn a_short_life_of_tokens_shortens_the_check_that_is_not_set() {
    let token = |ttl: u64| toml(&format!("{LEAST}[token]\nttl_seconds = {ttl}\n")).token;
    assert_eq!(Duration::from_secs(60), token(3600).refresh_check);
    assert_eq!(Duration::from_secs(15), token(30).refresh_check);
    assert_eq!(Duration::from_millis(500), token(1).refresh_check);
}

#[test]
fn ports_of_the_kernels_choice_do_not_overlap() {
    let config = toml(&format!(
        "listen = ['127.0.0.1:0', '127.0.0.1:0']\nhealth_listen = '0.0.0.0:0'\n{LEAST}"
    ));
    assert_eq!(2, config.listen.len());
}
