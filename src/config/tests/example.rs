//! tpp.toml, the example, shows what the table of keys says.

use std::{collections::BTreeMap, path::Path};

use crate::config::{
    self, Client, Format, Lease, Token, Upstream, describe,
    section::{self, Section as _},
    text::key::{Default, Effect, Key, Kind},
};

const EXAMPLE: &str = include_str!("../../../tpp.toml");

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
    let config = config::parse(&uncommented, name, Format::Toml, base, &none).unwrap();
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
        config::parse(
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
    let config = config::parse(text, name, Format::Toml, base, &none).unwrap();
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
            let config = config::parse(&text, name, Format::Toml, base, &none).unwrap();
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
