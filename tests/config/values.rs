//! What is written, and what arrives.

use std::time::Duration;

use crate::{full::address, *};

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
