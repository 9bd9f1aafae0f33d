//! Several servers, hosts and pools in a file.

use std::time::Duration;

use tpp::config::{
    Affinity, ApiListen, BackendState, Challenge, HealthKind, LoginMethod, Provider, RateHeaders,
    RateKey, TimeoutOverride, TrustedProxies,
};

use crate::*;

const FULL: &str = r#"
    trusted_proxies = ["10.0.0.0/8", "192.168.1.1"]
    state_directory = "state"
    [[pools]]
    name = "p"
    provider = "json"
    token_scope = "pool"
    [pools.login]
    url = "https://login.example/in"
    method = "PUT"
    body = '{"user":"{username}"}'
    headers = { Accept = "application/json" }
    token = "/data/token"
    expires_in = "/data/expires"
    ok = { pointer = "/code", equals = 0 }
    message = "/msg"
    busy_pattern = "full"
    logout_url = "https://login.example/out"
    [pools.inject]
    header = "X-Token"
    prefix = ""
    [[pools.credentials]]
    username = "user1"
    password = "hunter2"
    tenant = "t"
    sessions = 3
    [[backends]]
    id = "one"
    address = "one.example:80"
    tags = ["a", "b", "a"]
    weight = 0
    state = "maint"
    backup = true
    max_concurrent = 7
    tls = true
    host_header = "upstream"
    slow_start_seconds = 9
    max_idle_connections = 11
    [backends.health_check]
    type = "login"
    enabled = false
    [[virtual_hosts]]
    domain = "example.com"
    enabled_backends_tag = "a"
    split = { b = 10 }
    affinity = "cookie"
    hsts_seconds = 12
    max_concurrent = 13
    queue = { max_waiting = 14, wait_timeout_seconds = 15 }
    reject_status = 503
    circuit_breaker = { enabled = true, failure_threshold = 16, recovery_timeout_seconds = 17, half_open_requests = 18, failure_rate_percent = 19, min_requests = 20, window_seconds = 21 }
    timeouts = { dial = 22, response_header = 0, idle = 23, exchange = 0 }
    rate_limit = "r"
    access = "office"
    certificate = "acme"
    [retry]
    attempts = 3
    budget_percent = 24
    [outlier]
    enabled = true
    consecutive = 25
    [[rate_limits]]
    name = "r"
    requests = 26
    per_seconds = 27
    key = "header:X-User"
    headers = "draft"
    [[access]]
    name = "office"
    allow = ["10.1.2.3/8"]
    deny = ["10.0.0.1"]
    [api]
    listen = "[::1]:8081"
    tokens_file = "files/api-tokens"
    allow_hosts = ["gateway.example"]
    cors_origins = ["https://ops.example"]
    persist = false
    require_if_match = true
    [[listeners]]
    address = "127.0.0.1:8443"
    tls = true
    [acme]
    enabled = true
    directory = "https://ca.example/dir"
    email = "ops@example.com"
    accept_terms = true
    challenge = "tls-alpn-01"
    eab_kid = "kid-1"
    eab_hmac_key = "c2VjcmV0"
"#;

#[test]
fn every_key_of_acme_arrives_and_its_key_shows_nowhere() {
    let config = toml(FULL);
    let acme = &config.front.acme;
    assert!(acme.enabled && acme.accept_terms);
    assert_eq!(acme.url(), "https://ca.example/dir");
    assert_eq!(acme.email.as_deref(), Some("ops@example.com"));
    assert_eq!(acme.challenge, Challenge::TlsAlpn01);
    assert_eq!(acme.eab_kid.as_deref(), Some("kid-1"));
    let key = acme.eab_hmac_key.as_ref().unwrap();
    assert_eq!(key.expose(), b"secret");
    assert_eq!(format!("{key:?}"), "HmacKey(…)");
    let named = toml(
        "upstream = { host = 'h' }\nacme.directory = 'letsencrypt-staging'\n[[credentials]]\nusername = 'u'\npassword = 'p'\n",
    );
    let staging = "https://acme-staging-v02.api.letsencrypt.org/directory";
    assert_eq!(named.front.acme.url(), staging);
}

#[test]
fn every_key_of_a_full_pool_and_backend_arrives() {
    let config = toml(FULL);
    let gateway = &config.gateway;
    assert!(config.state_directory.ends_with("state"));
    assert!(
        config
            .trusted_proxies
            .contains("::ffff:10.9.9.9".parse().unwrap())
    );
    assert!(
        !config
            .trusted_proxies
            .contains("192.168.1.2".parse().unwrap())
    );

    let pool = &gateway.pools[0];
    assert_eq!(
        (pool.provider, pool.login.method),
        (Provider::Json, LoginMethod::Put)
    );
    assert_eq!(pool.login.headers["Accept"], "application/json");
    assert_eq!(pool.login.ok.equals, Some(0.into()));
    assert_eq!(
        (pool.inject.header.as_str(), pool.inject.prefix.as_str()),
        ("X-Token", "")
    );
    assert_eq!(pool.credentials[0].field("tenant"), Some("t"));
    assert!(!format!("{pool:?}").contains("hunter2"));

    let backend = &gateway.backends[0];
    assert_eq!(backend.tags, ["a", "b"]);
    assert_eq!(
        (backend.weight, backend.backup, backend.state),
        (0, true, BackendState::Maint)
    );
    assert_eq!(backend.upstream.authority(), "one.example:80");
    assert_eq!(
        (backend.upstream.tls, backend.upstream.max_idle_connections),
        (true, 11)
    );
    assert_eq!(
        (backend.max_concurrent, backend.slow_start),
        (Some(7), Duration::from_secs(9))
    );
    assert_eq!(
        (backend.health_check.kind, backend.health_check.enabled),
        (HealthKind::Login, false)
    );
}

#[test]
fn every_key_of_a_full_host_arrives() {
    let config = toml(FULL);
    let host = &config.gateway.virtual_hosts[0];
    assert_eq!(
        (host.affinity, host.reject_status, host.hsts_seconds),
        (Affinity::Cookie, 503, 12)
    );
    assert_eq!(
        (host.queue.max_waiting, host.queue.wait_timeout),
        (14, Some(Duration::from_secs(15)))
    );
    assert_eq!(
        (
            host.circuit_breaker.half_open_requests,
            host.circuit_breaker.min_requests
        ),
        (18, 20)
    );
    assert_eq!(
        host.timeouts.dial,
        TimeoutOverride(Some(Duration::from_secs(22)))
    );
    assert_eq!(
        host.timeouts
            .response_header
            .or(Some(Duration::from_secs(1))),
        None
    );
    assert_eq!(
        host.timeouts.read.or(Some(Duration::from_secs(1))),
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        host.timeouts.exchange.or(Some(Duration::from_secs(1))),
        None
    );
    assert_eq!(host.tags().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn every_key_of_full_limits_lists_and_api_arrives() {
    let config = toml(FULL);
    let gateway = &config.gateway;
    let limit = &gateway.rate_limits[0];
    assert_eq!((limit.burst, limit.headers), (26, RateHeaders::Draft));
    assert_eq!(limit.key, RateKey::Header("x-user".to_owned()));
    assert_eq!(gateway.access[0].allow[0].to_string(), "10.0.0.0/8");
    assert_eq!(gateway.access[0].deny[0].to_string(), "10.0.0.1/32");
    assert_eq!(
        (gateway.retry.attempts, gateway.outlier.consecutive),
        (3, 25)
    );

    let api = config.api.as_ref().unwrap();
    assert_eq!(api.listen, ApiListen::Tcp("[::1]:8081".parse().unwrap()));
    assert!(
        config.api_tokens.is_some()
            && api.tokens_file.is_some()
            && !api.persist
            && api.require_if_match
    );
}

#[test]
fn yaml_and_toml_make_the_same_gateway() {
    let yaml = "
pools:
- name: p
  credentials:
  - {username: user1, password: hunter2}
backends:
- {id: one, address: '10.0.0.1:80', tags: [a], health_check: {path: /up}}
virtual_hosts:
- {domain: default, enabled_backends_tag: a, queue: {max_waiting: 3}, rate_limit: null}
";
    let toml_text = "
[[pools]]
name = 'p'
credentials = [{ username = 'user1', password = 'hunter2' }]
[[backends]]
id = 'one'
address = '10.0.0.1:80'
tags = ['a']
health_check.path = '/up'
[[virtual_hosts]]
domain = 'default'
enabled_backends_tag = 'a'
queue.max_waiting = 3
";
    let from_yaml = parse("config.yaml", yaml, &Variables::new()).unwrap();
    assert_eq!(from_yaml, toml(toml_text));
}

#[test]
fn what_systemd_gives_is_where_state_is_kept_unless_the_file_says_otherwise() {
    let with = |text: &str, directory: &str| {
        let vars = variables(&[("STATE_DIRECTORY", directory)]);
        parse("tpp.toml", &format!("{text}{LEAST}"), &vars)
            .unwrap()
            .state_directory
    };
    assert_eq!(
        with("", "/var/lib/private/tpp:/var/lib/other"),
        Path::new("/var/lib/private/tpp")
    );
    assert_eq!(with("", ""), Path::new("/var/lib/tpp"));
    assert_eq!(
        with("state_directory = '/elsewhere'\n", "/var/lib/tpp2"),
        Path::new("/elsewhere")
    );
}

#[test]
fn variables_are_for_the_top_and_hold_below_it_as_defaults() {
    let text = "[[pools]]\nname = 'p'\ncredentials = [{ username = 'u', password = 'hunter2' }]\n[[pools]]\nname = 'q'\ncredentials = [{ username = 'u', password = 'hunter2' }]\ntoken.ttl_seconds = 70\n[[backends]]\nid = 'x'\naddress = 'x:1'\npool = 'p'\n";
    let vars = variables(&[
        ("TPP_TOKEN_TTL_SECONDS", "50"),
        ("TPP_UPSTREAM_TLS", "true"),
        ("TPP_UPSTREAM_PORT", "9"),
    ]);
    let config = parse("tpp.toml", text, &vars).unwrap();
    let ttl = |index: usize| config.gateway.pools[index].token.ttl.as_secs();
    assert_eq!((ttl(0), ttl(1)), (50, 70));
    let upstream = &config.gateway.backends[0].upstream;
    assert_eq!((upstream.tls, upstream.port), (true, 1));
}

#[test]
fn whoever_is_believed_is_named_or_everybody() {
    let config = toml(&format!("trust_forwarded = true\n{LEAST}"));
    assert_eq!(config.trusted_proxies, TrustedProxies::Any);
    let config = toml(LEAST);
    assert_eq!(config.trusted_proxies, TrustedProxies::From(Vec::new()));
}

#[test]
fn what_is_odd_about_a_backend_is_said_once() {
    let backends = "[[backends]]\nid = 'x'\naddress = 'x:1'\nverify = false\n[[backends]]\nid = 'y'\naddress = 'y:1'\n";
    let warnings = |top: &str| toml(&format!("{top}{backends}")).warnings();
    let all = warnings("[upstream]\ntls = true\n");
    assert_eq!(all.len(), 1);
    assert!(all[0].starts_with("backend x.verify is false"), "{all:?}");
    assert_eq!(
        warnings("[upstream]\ntls = true\nverify = false\n").len(),
        1
    );
    assert!(warnings("").is_empty());
}
