use std::{collections::BTreeMap, path::Path};

use super::*;
use crate::config::{Format, parse, section, text::key::Default};

fn config(text: &str) -> Config {
    let text = format!("{text}\n[upstream]\nhost = \"h\"\n");
    let variables = BTreeMap::<String, String>::new();
    parse(
        &text,
        Path::new("tpp.toml"),
        Format::Toml,
        Path::new("/"),
        &variables,
    )
    .expect("a good configuration")
}

fn account(user: &str, password: &str) -> String {
    format!("[[credentials]]\nusername = \"{user}\"\npassword = \"{password}\"\n")
}

#[test]
fn the_same_configuration_changes_nothing() {
    let config = config(&account("a", "x"));
    let diff = config.diff(&config);
    assert_eq!(diff.to_string(), "nothing has changed");
    assert!(diff.at_restart().is_empty() && diff.sockets().is_empty());
}

#[test]
fn accounts_are_counted_by_what_became_of_them() {
    let old = config(&[account("a", "x"), account("b", "x"), account("c", "x")].concat());
    let new = config(&[account("b", "other"), account("c", "x"), account("d", "x")].concat());
    assert_eq!(
        old.diff(&new).to_string(),
        "changed: accounts (1 added, 1 removed, 1 changed)"
    );
}

#[test]
fn what_needs_a_restart_is_named_by_its_key() {
    let old = config(&account("a", "x"));
    let new = config(&format!(
        "listen = \"127.0.0.1:1\"\n[token]\nmax_token_bytes = 512\n{}",
        account("a", "x")
    ));
    let diff = old.diff(&new);
    assert_eq!(diff.at_restart(), ["token.max_token_bytes"]);
    assert_eq!(diff.sockets(), ["listen"]);
    assert_eq!(diff.to_string(), "changed: listen, token");
}

/// A value for each key that is neither its default nor that of [`config`], as it stands in TOML.
fn another(path: &str) -> &'static str {
    match path {
        "listen" | "health_listen" => "\"127.0.0.1:2\"",
        "control_socket" => "\"/other\"",
        "trusted_proxies" => "[\"10.0.0.0/8\"]",
        "state_directory" => "\"/other\"",
        "upstream.host" => "\"other\"",
        "health_check.path" => "\"/other\"",
        "health_check.expect" => "\"204\"",
        "health_check.type" => "\"tcp\"",
        "api.listen" => "\"unix:/other\"",
        "api.tokens_file" => "\"tests/fixtures/config/files/api-tokens\"",
        "api.allow_hosts" => "[\"other\"]",
        "api.cors_origins" => "[\"https://other\"]",
        "retry.attempts" => "7",
        "upstream.ca_file" => "\"tests/fixtures/config/files/ca.pem\"",
        "upstream.host_header" => "\"client\"",
        "upstream.server_name" => "\"other\"",
        "upstream.http2" => "\"on\"",
        "upstream.proxy" => "\"http://other:1\"",
        "token.renew_on" => "[419]",
        "token.busy_pattern" => "\"busy\"",
        "token.scope" => "\"pool\"",
        "token.login_path" => "\"/other\"",
        "lease.mode" => "\"request\"",
        "lease.abandoned" | "lease.reset" => "\"login\"",
        "metrics.token" => "\"other\"",
        "metrics.token_file" => "\"tests/fixtures/config/files/password\"",
        "telemetry.log_filter" => "\"debug\"",
        "telemetry.log_output" | "telemetry.access_log" => "\"/other\"",
        "telemetry.access_log_format" => "\"combined\"",
        "acme.directory" => "\"letsencrypt-staging\"",
        "acme.ca_file" => "\"tests/fixtures/config/files/ca.pem\"",
        "acme.email" => "\"ops@other\"",
        "acme.accept_terms" => "false",
        "acme.challenge" => "\"tls-alpn-01\"",
        "acme.eab_kid" => "\"other\"",
        "acme.eab_hmac_key" => "\"b3RoZXI\"",
        "acme.eab_hmac_key_file" => "\"tests/fixtures/config/files/password\"",
        "tls.min_version" => "\"1.3\"",
        "http2.lease" => "\"connection\"",
        "telemetry.log_format" => "\"json\"",
        "telemetry.otlp_protocol" => "\"grpc\"",
        "telemetry.otlp_ca_file" => "\"tests/fixtures/config/files/ca.pem\"",
        "telemetry.otlp_headers" => "\"api-key=other\"",
        "telemetry.otlp_headers_file" => "\"tests/fixtures/config/files/otlp-headers\"",
        "telemetry.otlp_endpoint" => "\"http://other\"",
        path => another_of_hosts(path),
    }
}

fn another_of_hosts(path: &str) -> &'static str {
    match path {
        "hosts.endpoints" => "[\"https://other\"]",
        "hosts.cluster" | "hosts.name" | "hosts.upstream_id" | "hosts.username" => "\"other\"",
        "hosts.prefix" => "\"/other/\"",
        "hosts.ca_file" | "hosts.cert_file" | "hosts.key_file" => {
            "\"tests/fixtures/config/files/ca.pem\""
        }
        "hosts.password_file" => "\"tests/fixtures/config/files/otlp-headers\"",
        "hosts.home_takeover_seconds" => "77",
        "hosts.takeover" => "\"expire\"",
        path => another_of_its_kind(path),
    }
}

fn another_of_its_kind(path: &str) -> &'static str {
    match section::keys()
        .find(|key| key.path == path)
        .map(|key| key.default)
    {
        Some(Default::Flag(true)) => "false",
        Some(Default::Flag(false)) => "true",
        _ => "17",
    }
}

/// A configuration that says something else than by default of `key` alone.
fn with(key: Option<&Key>) -> Config {
    let (mut top, mut sections) = (
        String::new(),
        BTreeMap::from([("upstream", String::new()), ("api", String::new())]),
    );
    let line = key.map(|key| {
        (
            key.section(),
            format!("{} = {}\n", key.leaf(), another(key.path)),
        )
    });
    match line {
        Some(("", line)) => top = line,
        Some((section, line)) => _ = sections.insert(section, line),
        None => {}
    }
    if key.is_none_or(|key| key.path != "upstream.host") {
        *sections.entry("upstream").or_default() += "host = \"h\"\n";
    }
    if key.is_none_or(|key| key.path != "api.listen") {
        *sections.entry("api").or_default() += "listen = \"unix:/api\"\n";
    }
    let together = [
        ("acme", "accept_terms", "true"),
        ("acme", "eab_kid", "\"k\""),
        ("acme", "eab_hmac_key", "\"c2VjcmV0\""),
        ("hosts", "endpoints", "[\"https://e\"]"),
        ("hosts", "cluster", "\"c\""),
        ("hosts", "cert_file", "\"c.pem\""),
        ("hosts", "key_file", "\"k.pem\""),
        ("hosts", "username", "\"u\""),
        (
            "hosts",
            "password_file",
            "\"tests/fixtures/config/files/password\"",
        ),
    ];
    for (section, name, value) in together {
        let lines = sections.entry(section).or_default();
        // Its file stands for the key.
        if !lines.starts_with(name) {
            *lines += &format!("{name} = {value}\n");
        }
    }
    let sections = sections
        .iter()
        .map(|(name, lines)| format!("[{name}]\n{lines}"));
    let text = top + &sections.collect::<String>() + &account("a", "x");
    let nothing_set = BTreeMap::<String, String>::new();
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    parse(
        &text,
        Path::new("tpp.toml"),
        Format::Toml,
        base,
        &nothing_set,
    )
    .unwrap()
}

#[test]
fn a_change_of_any_key_is_seen_and_needs_what_its_line_says() {
    let old = with(None);
    // Entries are counted.
    let others = [
        "credentials",
        "credentials_file",
        "pools",
        "backends",
        "virtual_hosts",
        "rate_limits",
        "access",
        "listeners",
        "certificates",
    ];
    // Needs an entry that it names.
    let of_entries = "tls.default_certificate";
    for key in section::keys()
        .filter(|key| !others.contains(&key.path.split('.').next().unwrap()))
        .filter(|key| key.path != of_entries)
    {
        let diff = old.diff(&with(Some(key)));
        let shown = if key.section().is_empty() {
            key.path
        } else {
            key.section()
        };
        assert_eq!(
            diff.to_string(),
            format!("changed: {shown}"),
            "{}",
            key.path
        );
        let at_restart = diff.at_restart();
        assert_eq!(
            at_restart.contains(&key.path),
            key.effect == Effect::Restart,
            "{}",
            key.path
        );
    }
}

#[test]
fn entries_are_counted_by_what_became_of_them() {
    let backend = |id: &str, weight: u32| {
        format!("[[backends]]\nid = \"{id}\"\naddress = \"{id}:1\"\nweight = {weight}\n")
    };
    let old = config(&[backend("a", 1), backend("b", 1), backend("c", 1)].concat());
    let limit = "[[rate_limits]]\nname = \"r\"\nrequests = 1\n";
    let new = config(
        &[
            backend("b", 2),
            backend("c", 1),
            backend("d", 1),
            limit.into(),
        ]
        .concat(),
    );
    assert_eq!(
        old.diff(&new).to_string(),
        "changed: backends (1 added, 1 removed, 1 changed), rate_limits (1 added)"
    );
    assert!(old.diff(&new).at_restart().is_empty());
}

#[test]
fn what_the_top_stands_for_is_told_by_its_sections_alone() {
    let old = config(&account("a", "x"));
    let token = "[token]\nttl_seconds = 5\n[health_check]\npath = \"/\"\n";
    let new = config(&[token.to_owned(), account("a", "x")].concat());
    assert_eq!(old.diff(&new).to_string(), "changed: token, health_check");
    let other = config(&[account("a", "x"), "[lease]\nmax_waiting = 5\n".to_owned()].concat());
    assert_eq!(old.diff(&other).to_string(), "changed: lease");
}
