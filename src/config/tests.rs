//! What only the inside shows: the example against the table, and the shapes of texts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{collections::BTreeMap, path::Path};

use super::{
    Client, Format, Lease, Token, Upstream, describe,
    section::{self, Section as _},
    text::{
        key::{Default, Effect, Key, Kind},
        notation::parse,
        shape,
        tree::{Node, Value},
    },
};

const EXAMPLE: &str = include_str!("../../tpp.toml");

/// A key of the example: its path, the text of its value, and the comment above it.
struct Shown {
    path: String,
    value: String,
    commented_out: bool,
    comment: String,
}

/// Reads the example line by line, as a person does.
fn shown_keys() -> Vec<Shown> {
    let (mut section, mut comment, mut keys) = (String::new(), String::new(), Vec::new());
    for line in EXAMPLE.lines() {
        let bare = line.trim_start_matches("# ");
        let assignment = bare.split_once(" = ").filter(|(name, _)| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            name.bytes().all(inner)
        });
        if let Some((name, value)) = assignment {
            let path = if section.is_empty() {
                name.to_owned()
            } else {
                format!("{section}.{name}")
            };
            keys.push(Shown {
                path,
                value: value.to_owned(),
                commented_out: line.starts_with('#'),
                comment: std::mem::take(&mut comment),
            });
        } else if bare.starts_with('[') {
            section = bare.trim_matches(['[', ']']).to_owned();
            comment.clear();
        } else if line.starts_with('#') {
            comment.push_str(bare);
        } else {
            comment.clear();
        }
    }
    keys
}

fn shown<'a>(all: &'a [Shown], key: &Key) -> &'a Shown {
    let found = all.iter().find(|shown| shown.path == key.path);
    found.unwrap_or_else(|| panic!("tpp.toml does not show {}", key.path))
}

/// The keys that have a value of their own: those of tables are theirs.
fn keys() -> impl Iterator<Item = &'static Key> {
    section::keys().filter(|key| !matches!(key.kind, Kind::Table | Kind::Entries))
}

/// Whether the example comments the whole table out.
fn is_optional(key: &Key) -> bool {
    let tables = [
        "pools",
        "backends",
        "virtual_hosts",
        "retry",
        "health_check",
        "outlier",
        "rate_limits",
        "access",
        "api",
        "listeners",
        "tls",
        "certificates",
        "acme",
        "hosts",
        "http2",
    ];
    let table = key.section().split('.').next();
    table.is_some_and(|table| tables.contains(&table))
}

#[test]
fn the_example_shows_every_key_once_in_the_order_of_the_table() {
    let shown: Vec<String> = shown_keys().into_iter().map(|key| key.path).collect();
    let table: Vec<&str> = keys().map(|key| key.path).collect();
    assert_eq!(table, shown);
}

#[test]
fn the_example_gives_each_default() {
    let all = shown_keys();
    for key in keys() {
        let shown = shown(&all, key);
        let expected = match key.default {
            Default::Flag(flag) => flag.to_string(),
            Default::Whole(number) => number.to_string(),
            Default::Text(text) => format!("\"{text}\""),
            Default::Statuses(list) => format!("{list:?}"),
            // An account needs a password, so the example gives one.
            Default::Unset if key.path == "credentials.password" => continue,
            Default::Unset => {
                assert!(
                    shown.commented_out,
                    "{} is off by default, not in tpp.toml",
                    key.path
                );
                continue;
            }
            Default::Required => continue,
        };
        assert_eq!(expected, shown.value, "{}", key.path);
        assert_eq!(
            is_optional(key),
            shown.commented_out,
            "{} has a default",
            key.path
        );
    }
}

#[test]
fn the_example_says_when_a_change_takes_hold_and_which_variable_overrides() {
    let all = shown_keys();
    for key in keys() {
        let comment = &shown(&all, key).comment;
        let mark = match key.effect {
            Effect::Live | Effect::Workers => "[reload]",
            Effect::Restart => "[restart]",
        };
        assert!(
            comment.ends_with(mark),
            "{}: {mark} expected, got: {comment}",
            key.path
        );
        for other in keys().flat_map(|key| key.variables) {
            let expected = key.variables.contains(other);
            assert_eq!(expected, comment.contains(other), "{}: {other}", key.path);
        }
    }
}

#[test]
fn what_the_example_comments_out_is_good_too() {
    let mut uncommented = String::new();
    let mut of_other_providers = false;
    for line in EXAMPLE.lines() {
        let good = |rest: &&str| {
            let is_there = ["cert_file", "key_file", "password_file = \"etcd-password\""]
                .iter()
                .any(|file| rest.starts_with(file));
            rest.starts_with('[')
                || rest.contains(" = ") && (is_there || !rest.contains("_file = "))
        };
        let line = line.strip_prefix("# ").filter(good).unwrap_or(line);
        if line.starts_with('[') {
            of_other_providers = line == "[[pools.credentials]]";
            if of_other_providers {
                uncommented += "[[pools.credentials]]\nusername = 'u'\npassword = 'p'\n";
            }
        }
        if !of_other_providers {
            uncommented += line;
            uncommented.push('\n');
        }
    }
    let none = BTreeMap::new();
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let write = |name, text| std::fs::write(directory.path().join(name), text).unwrap();
    write("example.pem", made.cert.pem());
    write("example.key", made.signing_key.serialize_pem());
    write("etcd-password", "secret\n".to_owned());
    let (name, base) = (Path::new("tpp.toml"), directory.path());
    let config = super::parse(&uncommented, name, Format::Toml, base, &none).unwrap();
    assert_eq!(config.front.certificates[0].files.name, "example");
    assert_eq!(config.front.listeners.len(), 1);
    assert_eq!(
        Some("http://localhost:4317"),
        config.telemetry.otlp_endpoint.as_deref()
    );
    assert_eq!(config.gateway.backends[0].id, "web-v1");
    assert_eq!(config.gateway.virtual_hosts[0].split["stable"], 10);
    assert_eq!(config.gateway.pools.len(), 2);
}

#[test]
fn the_example_equals_a_file_that_leaves_all_defaults_out() {
    let none = BTreeMap::new();
    let read = |text| {
        super::parse(
            text,
            Path::new("tpp.toml"),
            Format::Toml,
            Path::new(""),
            &none,
        )
        .unwrap()
    };
    let short = "[upstream]\nhost = 'dolphindb.example.com'\n[[credentials]]\nusername = 'user1'\npassword = 'password1'\n";
    assert_eq!(read(short), read(EXAMPLE));
}

#[test]
fn a_section_by_default_is_what_a_file_without_it_yields() {
    let none = BTreeMap::new();
    let text =
        "[upstream]\nhost = 'db'\nport = 1\n[[credentials]]\nusername = 'u'\npassword = 'p'\n";
    let (name, base) = (Path::new("tpp.toml"), Path::new(""));
    let config = super::parse(text, name, Format::Toml, base, &none).unwrap();
    assert_eq!(Client::default(), config.client);
    assert_eq!(Token::default(), config.token);
    assert_eq!(Lease::default(), config.lease);
    assert_eq!(Upstream::at("db", 1), config.upstream);
}

#[test]
fn each_word_of_a_choice_is_read_and_published_as_it_is_written() {
    let none = BTreeMap::new();
    for key in keys().filter(|key| !is_optional(key)) {
        let Kind::Choice(words) = key.kind else {
            continue;
        };
        for word in words {
            let host = |section| match section {
                "upstream" => "",
                _ => "[upstream]\n",
            };
            let text = format!(
                "[{}]\n{} = '{word}'\n{}host = 'db'\n[[credentials]]\nusername = 'u'\npassword = 'p'\n",
                key.section(),
                key.leaf(),
                host(key.section()),
            );
            let (name, base) = (Path::new("tpp.toml"), Path::new(""));
            let config = super::parse(&text, name, Format::Toml, base, &none).unwrap();
            let sections = serde_json::json!({
                "upstream": config.upstream,
                "token": config.token,
                "lease": config.lease,
                "telemetry": config.telemetry.write_table(),
            });
            assert_eq!(sections[key.section()][key.leaf()], *word, "{}", key.path);
        }
    }
}

#[test]
fn every_key_is_described_with_its_default_as_it_stands_in_the_example() {
    let all = shown_keys();
    let described = describe();
    assert_eq!(all.len(), described.len());
    for (shown, key) in all.iter().zip(described) {
        assert_eq!(shown.path, key.path);
        assert!(!key.allowed.is_empty(), "{}", key.path);
        assert_eq!(
            key.required,
            matches!(
                key.path,
                "upstream.host"
                    | "credentials.username"
                    | "pools.name"
                    | "pools.credentials.client_id"
                    | "pools.credentials.app_id"
                    | "backends.id"
                    | "backends.address"
                    | "virtual_hosts.domain"
                    | "virtual_hosts.enabled_backends_tag"
                    | "rate_limits.name"
                    | "rate_limits.requests"
                    | "access.name"
                    | "listeners.address"
                    | "certificates.name"
                    | "certificates.cert_file"
                    | "certificates.key_file"
            ),
            "{}",
            key.path
        );
        if let Some(default) = key.default {
            assert_eq!(shown.value, default, "{}", key.path);
        }
    }
}

#[test]
fn hosts_are_names_or_addresses_and_nothing_else() {
    let long_label = "a".repeat(64);
    let long_name = ["abcdefghi"; 26].join(".");
    for good in [
        "db",
        "db.example.com",
        "my_db-1",
        "10.0.0.5",
        "::1",
        "fe80::1",
        "3com.example",
        "xn--nxasmq6b",
    ] {
        assert!(shape::host(good), "{good}");
    }
    for bad in [
        "",
        ".",
        "db.",
        "-db",
        "db-",
        "a..b",
        "a b",
        "1.2.3",
        "[::1]",
        "db:80",
        "http://db",
        "dß",
        "a/b",
    ]
    .into_iter()
    .chain([long_label.as_str(), long_name.as_str()])
    {
        assert!(!shape::host(bad), "{bad}");
    }
}

#[test]
fn log_filters_are_levels_and_targets_with_levels() {
    for good in [
        "info",
        "OFF",
        "info,tpp_worker=debug",
        "tpp::lease=trace, warn",
        "[lease]",
        "tpp[lease{slot=1,user=\"a\"}]=debug",
    ] {
        assert!(shape::log_filter(good), "{good}");
    }
    for bad in [
        "",
        "inof",
        "info,",
        "tpp=",
        "=info",
        "tpp=loud",
        "tpp[lease=debug",
        "tpp]=debug",
        "a b=info",
        "tpp[x]debug",
    ] {
        assert!(!shape::log_filter(bad), "{bad}");
    }
}

#[test]
fn urls_and_request_paths_hold_no_blanks() {
    assert!(
        shape::http_url("http://localhost:4317") && shape::http_url("https://[::1]:4317/v1?x=1")
    );
    for bad in [
        "",
        "http://",
        "http://:80",
        "https:///x",
        "ftp://host",
        "http://a b",
        "HTTP//host",
    ] {
        assert!(!shape::http_url(bad), "{bad}");
    }
    assert!(shape::request_path("/") && shape::request_path("/api/login?x=%20"));
    for bad in ["", "api", "/a b", "/a#b", "/ä", "/a\r\nHost: x"] {
        assert!(!shape::request_path(bad), "{bad}");
    }
}

fn entry<'a>(node: &'a Node, name: &str) -> &'a Node {
    let Value::Table(entries) = &node.value else {
        panic!("{name} is asked of what is no table");
    };
    &entries
        .iter()
        .find(|entry| entry.name == name)
        .unwrap()
        .node
}

#[test]
fn a_yaml_scalar_is_what_the_core_schema_says() {
    let kinds = [
        ("null", "nothing"),
        ("~", "nothing"),
        ("", "nothing"),
        ("True", "true"),
        ("false", "false"),
        ("12", "12"),
        ("-3", "-3"),
        ("+4", "4"),
        ("007", "7"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        (".5", ".5"),
        ("-.inf", "-.inf"),
        (".nan", ".nan"),
        ("yes", "\"yes\""),
        ("inf", "\"inf\""),
        ("1_000", "\"1_000\""),
        ("0.0.0.0:80", "\"0.0.0.0:80\""),
        ("'12'", "\"12\""),
        ("\"true\"", "\"true\""),
        ("!!str 12", "\"12\""),
        ("!!int 12", "12"),
    ];
    for (written, described) in kinds {
        let text = format!("key: {written}\n");
        let node =
            parse(&text, Path::new("x.yaml"), Format::Yaml).unwrap_or_else(|_| panic!("{written}"));
        assert_eq!(described, entry(&node, "key").value.describe(), "{written}");
    }
}

#[test]
fn a_value_in_a_message_is_escaped_cut_and_without_user_information() {
    let describe = |text: &str| Value::text(text).describe();
    assert_eq!(r#""a\n\u{1b}[31m""#, describe("a\n\u{1b}[31m"));
    assert_eq!(
        format!("\"{}…\"", "x".repeat(60)),
        describe(&"x".repeat(61))
    );
    assert_eq!("\"…@host\"", describe("http://user:p@ssword@host"));
}
