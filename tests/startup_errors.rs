//! What tpp says when it cannot start, and how it exits.

use std::{fs, net::TcpListener, path::Path};

use crate::common::{
    command::{Outcome, run, tpp_command},
    proxy::Proxy,
    settings::{DIRECTORY, Settings},
    upstream::Upstream,
};

/// Runs `tpp --config` where it cannot start.
fn run_with(settings: &Settings, directory: &Path) -> Outcome {
    let config = settings.write_to(directory);
    run(tpp_command().arg("--config").arg(config))
}

/// The settings of a tpp that could start, and where.
fn good() -> (tempfile::TempDir, Upstream, Settings) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    (
        tempfile::tempdir().expect("make a directory"),
        upstream,
        settings,
    )
}

/// tpp gave up with `code`, and its last words hold all of `words`.
#[track_caller]
fn assert_failed(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    for word in words {
        assert!(outcome.err.contains(word), "{outcome:?} lacks {word:?}");
    }
    assert!(!outcome.err.contains("panicked"), "{outcome:?}");
}

/// tpp gave up with exit code 1, and the one line that says why holds all of `words`.
#[track_caller]
fn assert_failed_in_one_line(outcome: &Outcome, words: &[&str]) {
    assert_failed(outcome, 1, words);
    let said: Vec<&str> = outcome
        .err
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .collect();
    assert_eq!(said.len(), 1, "one line says why: {outcome:?}");
}

#[test]
fn a_wrong_value_is_a_configuration_error_with_file_line_key_and_what_is_allowed() {
    let (directory, _upstream, settings) = good();
    let outcome = run_with(&settings.set("upstream.port", 99_999), directory.path());
    let file = directory.path().join("tpp.toml");
    let text = fs::read_to_string(&file).expect("the file");
    let line = 1 + text
        .lines()
        .position(|line| line.contains("99999"))
        .expect("the line");
    let place = format!("{}:{line}", file.display());
    assert_failed(&outcome, 78, &[&place, "upstream.port", "99999", "65535"]);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let (directory, _upstream, settings) = good();
    let settings = settings
        .set("workers.count", -1)
        .set("upstream.tls", "\"maybe\"");
    let settings = settings
        .set("lease.mode", "\"forever\"")
        .set("token.ttl_secnods", 5);
    let outcome = run_with(&settings, directory.path());
    let words = [
        "workers.count",
        "upstream.tls",
        "maybe",
        "lease.mode",
        "forever",
        "connection",
        "ttl_secnods",
        "ttl_seconds",
    ];
    assert_failed(&outcome, 78, &words);
}

#[test]
fn a_file_that_is_no_toml_is_a_configuration_error_at_its_line() {
    let (directory, _upstream, settings) = good();
    let outcome = run_with(
        &settings.instead("tpp.toml", "listen = \"a\"\n\n[upstream\n"),
        directory.path(),
    );
    assert_failed(&outcome, 78, &["tpp.toml:3"]);
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let (directory, _upstream, settings) = good();
    let config = settings.write_to(directory.path());
    let outcome = run(tpp_command()
        .arg("--config")
        .arg(config)
        .env("TPP_UPSTREAM_PORT", "many"));
    assert_failed(&outcome, 78, &["TPP_UPSTREAM_PORT", "many"]);
}

#[test]
fn check_says_the_same_and_starts_nothing() {
    let (directory, upstream, settings) = good();
    let config = settings.write_to(directory.path());
    let outcome = run(tpp_command().args(["check", "--config"]).arg(&config));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(upstream.attempts().is_empty());
    let config = settings.set("upstream.port", 0).write_to(directory.path());
    let outcome = run(tpp_command().args(["check", "--config"]).arg(&config));
    assert_failed(&outcome, 78, &["upstream.port"]);
}

#[test]
fn a_file_that_is_missing_is_named() {
    let outcome = run(tpp_command().args(["--config", "/nowhere/at/all.toml"]));
    assert_failed_in_one_line(&outcome, &["/nowhere/at/all.toml", "No such file"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    for key in ["listen", "health_listen"] {
        let (directory, _upstream, settings) = good();
        let taken = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = taken.local_addr().expect("its address").to_string();
        let outcome = run_with(
            &settings.set(key, format!("\"{address}\"")),
            directory.path(),
        );
        assert_failed_in_one_line(&outcome, &[&address, "in use"]);
    }
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let (directory, _upstream, settings) = good();
    let outcome = run_with(
        &settings.set("listen", "\"192.0.2.1:80\""),
        directory.path(),
    );
    assert_failed_in_one_line(&outcome, &["192.0.2.1:80"]);
}

#[test]
fn a_control_socket_that_cannot_be_made_is_named() {
    let (directory, _upstream, settings) = good();
    let settings = settings.set(
        "control_socket",
        format!("\"{DIRECTORY}/no/such/control.sock\""),
    );
    let outcome = run_with(&settings, directory.path());
    assert_failed_in_one_line(&outcome, &["/no/such/control.sock"]);
}

#[test]
fn a_control_socket_in_use_is_left_to_its_owner() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let first = Proxy::start(&settings);
    let directory = tempfile::tempdir().expect("make a directory");
    let socket = first.control_socket().display().to_string();
    let outcome = run_with(
        &settings.set("control_socket", format!("\"{socket}\"")),
        directory.path(),
    );
    assert_failed_in_one_line(&outcome, &[&socket]);
    assert_eq!(first.ctl(&["status"]).code, Some(0));
}

#[test]
fn wrong_use_exits_with_two() {
    for arguments in [&["--no-such-flag"][..], &["frobnicate"], &["--config"]] {
        let outcome = run(tpp_command().args(arguments));
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
    }
}
