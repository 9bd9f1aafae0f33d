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
        "upstream.host" => "\"other\"",
        "upstream.ca_file" => "\"tests/fixtures/config/files/ca.pem\"",
        "upstream.host_header" => "\"client\"",
        "token.renew_on" => "[419]",
        "token.busy_pattern" => "\"busy\"",
        "token.scope" => "\"pool\"",
        "token.login_path" => "\"/other\"",
        "lease.mode" => "\"request\"",
        "lease.abandoned" | "lease.reset" => "\"login\"",
        "telemetry.log_filter" => "\"debug\"",
        "telemetry.log_format" => "\"json\"",
        "telemetry.otlp_endpoint" => "\"http://other\"",
        path => match section::keys()
            .find(|key| key.path == path)
            .map(|key| key.default)
        {
            Some(Default::Flag(true)) => "false",
            Some(Default::Flag(false)) => "true",
            _ => "17",
        },
    }
}

#[test]
fn a_change_of_any_key_is_seen_and_needs_what_its_line_says() {
    let with = |key: Option<&Key>| {
        let (mut top, mut sections) =
            (String::new(), BTreeMap::from([("upstream", String::new())]));
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
    };
    let old = with(None);
    let others = ["credentials", "credentials_file"];
    for key in section::keys().filter(|key| !others.contains(&key.path.split('.').next().unwrap()))
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
