//! The exact words for each thing that is wrong.

use std::{ffi::OsString, fmt::Write as _, fs, os::unix::ffi::OsStringExt, path::PathBuf};

use tpp::config::{self, Vars};

use crate::*;

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(FIXTURES)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {FIXTURES}");
    files
}

#[test]
fn each_wrong_file_yields_the_messages_at_its_head() {
    let mut differing = String::new();
    for path in fixtures() {
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# expect: "))
            .collect();
        let expected = expected.join("\n");
        let name = path.file_name().unwrap().to_str().unwrap();
        let got = match parse(name, &text, &Variables::new()) {
            Ok(_) => "no problem at all".to_owned(),
            Err(problems) => problems.to_string(),
        };
        if expected != got {
            write!(differing, "\n{name}\nexpected:\n{expected}\ngot:\n{got}\n").unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn no_message_holds_a_password() {
    for path in fixtures() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let problems = parse(name, &text, &Variables::new()).unwrap_err();
        let all = format!("{problems}\n{problems:?}");
        assert!(!all.contains(PASSWORD) && !all.contains("8675309"), "{all}");
    }
}

/// A variable, its value, and what is said of it.
const BAD_VARIABLES: &[(&str, &str, &str)] = &[
    (
        "TPP_LISTEN",
        "nowhere",
        "TPP_LISTEN: listen: found \"nowhere\"; allowed: an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\", or a list of such",
    ),
    (
        "TPP_LISTEN",
        "127.0.0.1:1,",
        "TPP_LISTEN: listen[1]: found \"\"; allowed: an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"",
    ),
    (
        "TPP_HEALTH_LISTEN",
        "9090",
        "TPP_HEALTH_LISTEN: health_listen: found \"9090\"; allowed: an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"",
    ),
    (
        "TPP_UPSTREAM_HOST",
        "db:1",
        "TPP_UPSTREAM_HOST: upstream.host: found \"db:1\"; allowed: a host name or an IP address, without scheme and port",
    ),
    (
        "TPP_UPSTREAM_PORT",
        "70000",
        "TPP_UPSTREAM_PORT: upstream.port: found 70000; allowed: a whole number from 1 to 65535",
    ),
    (
        "TPP_UPSTREAM_PORT",
        "http",
        "TPP_UPSTREAM_PORT: upstream.port: found \"http\"; allowed: a whole number from 1 to 65535",
    ),
    (
        "TPP_UPSTREAM_TLS",
        "on",
        "TPP_UPSTREAM_TLS: upstream.tls: found \"on\"; allowed: true or false",
    ),
    (
        "TPP_TOKEN_TTL_SECONDS",
        "1h",
        "TPP_TOKEN_TTL_SECONDS: token.ttl_seconds: found \"1h\"; allowed: a whole number from 1 to 31536000",
    ),
    (
        "TPP_TOKEN_REFRESH_CHECK_SECONDS",
        "3600",
        "TPP_TOKEN_REFRESH_CHECK_SECONDS: token.refresh_check_seconds: found 3600; allowed: less than token.ttl_seconds (3600), or nothing",
    ),
    (
        "TPP_TELEMETRY_OTLP_ENDPOINT",
        "localhost",
        "TPP_TELEMETRY_OTLP_ENDPOINT: telemetry.otlp_endpoint: found \"localhost\"; allowed: a URL that begins with http:// or https://",
    ),
    (
        "TPP_TELEMETRY_LOG_FILTER",
        "inof",
        "TPP_TELEMETRY_LOG_FILTER: telemetry.log_filter: found \"inof\"; allowed: off, error, warn, info, debug or trace, or such as \"info,tpp_worker=debug\"",
    ),
    (
        "RUST_LOG",
        "tpp=",
        "RUST_LOG: telemetry.log_filter: found \"tpp=\"; allowed: off, error, warn, info, debug or trace, or such as \"info,tpp_worker=debug\"",
    ),
];

#[test]
fn a_bad_variable_is_named_as_the_place() {
    for (name, value, expected) in BAD_VARIABLES {
        let problems = parse("tpp.toml", LEAST, &variables(&[(name, value)])).unwrap_err();
        assert_eq!(*expected, problems.to_string());
    }
}

#[test]
fn a_variable_that_is_not_text_is_a_problem() {
    struct Bytes;
    impl Vars for Bytes {
        fn var(&self, name: &str) -> Option<OsString> {
            (name == "TPP_UPSTREAM_HOST").then(|| OsString::from_vec(vec![0xff]))
        }
    }
    let problems = parse("tpp.toml", LEAST, &Bytes).unwrap_err();
    let expected = "TPP_UPSTREAM_HOST: upstream.host: found text that is not UTF-8; allowed: a host name or an IP address, without scheme and port";
    assert_eq!(expected, problems.to_string());
}

#[test]
fn an_unreadable_file_is_told_from_a_wrong_one() {
    let directory = tempfile::tempdir().unwrap();
    let load = |name: &str| config::load(&directory.path().join(name), &Variables::new());
    let missing = load("tpp.toml").unwrap_err();
    assert!(missing.is_unreadable());
    let path = directory.path().join("tpp.toml");
    let expected = format!(
        "{}: found an unreadable file (No such file or directory); allowed: a configuration file in TOML or YAML",
        path.display()
    );
    assert_eq!(expected, missing.to_string());

    fs::write(&path, "listen = \n").unwrap();
    assert!(!load("tpp.toml").unwrap_err().is_unreadable());
    fs::write(&path, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert!(
        load("tpp.toml")
            .unwrap_err()
            .to_string()
            .contains("(more than 4 MiB)")
    );
}

#[test]
fn debug_output_shows_no_password() {
    let shown = format!("{:?}", toml(LEAST));
    assert!(
        shown.contains("user1") && !shown.contains(PASSWORD),
        "{shown}"
    );
}
