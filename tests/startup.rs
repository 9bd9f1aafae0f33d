//! How tpp starts, and what it says when it does not.

mod common;

use std::{fs, net::TcpListener, path::Path, process::Command};

use common::{
    proxy::{Outcome, Proxy, run, tpp_command},
    settings::{DIRECTORY, Settings, password_of},
    upstream::Upstream,
};
use serde_json::Value;

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
fn a_control_socket_left_by_a_crash_is_taken_over() {
    let (directory, upstream, settings) = good();
    let socket = directory.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind a socket"));
    assert!(socket.exists());
    let text = format!("\"{}\"", socket.display());
    let mut process = Proxy::spawn(&settings.set("control_socket", text));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tppctl"));
    command.arg("--socket").arg(&socket).arg("status");
    common::wait_until("tpp answers on the socket", || {
        run(&mut command).code == Some(0)
    });
    process.signal_supervisor(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.wait_for_exit().code(), Some(0));
    process.assert_gone();
    assert_eq!(upstream.attempts().len(), 1);
}

#[test]
fn wrong_use_exits_with_two() {
    for arguments in [
        &["--no-such-flag"][..],
        &["frobnicate"],
        &["check"],
        &["--config"],
    ] {
        let outcome = run(tpp_command().args(arguments));
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
    }
}

#[test]
fn variables_go_before_the_file() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let settings = settings
        .set("upstream.host", "\"no-such-host.invalid\"")
        .set("upstream.port", 9);
    let address = upstream.address();
    let settings = settings.variable("TPP_UPSTREAM_HOST", &address.ip().to_string());
    let proxy = Proxy::start(&settings.variable("TPP_UPSTREAM_PORT", &address.port().to_string()));
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn credentials_come_from_files_too() {
    let upstream = Upstream::start();
    for user in ["filed", "listed", "colon"] {
        let password = if user == "colon" {
            "a:b#c".to_owned()
        } else {
            password_of(user)
        };
        upstream.add_account(user, &password, 1);
    }
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let lines = format!(
        "# those of the second floor\n\nlisted:{}\ncolon:a:b#c\n",
        password_of("listed")
    );
    let settings = settings
        .file("credentials", &lines)
        .file("password", &format!("{}\n", password_of("filed")));
    let settings = settings.set("credentials_file", format!("\"{DIRECTORY}/credentials\""));
    // The last section of the file is the accounts' own, so that a further one may follow.
    let file = format!("{DIRECTORY}/password");
    let settings = settings.further(&format!(
        "\n[[credentials]]\nusername = \"filed\"\npassword_file = \"{file}\"\n"
    ));
    let proxy = Proxy::start(&settings.slots_besides(3));
    let mut users: Vec<String> = proxy.tokens().into_iter().map(|token| token.user).collect();
    users.sort();
    assert_eq!(users, ["colon", "filed", "listed", "user0"]);
}

#[test]
fn a_file_of_the_first_tpp_serves() {
    let upstream = Upstream::start();
    ["user1", "user2"]
        .iter()
        .for_each(|user| upstream.add_account(user, &password_of(user), 1));
    let (host, port) = (upstream.address().ip(), upstream.address().port());
    let text = format!(
        "listen: \"127.0.0.1:0\"\nhealth_listen: \"127.0.0.1:0\"\ncontrol_socket: \"{DIRECTORY}/control.sock\"\n\
         workers:\n  count: 2\nupstream:\n  host: \"{host}\"\n  port: {port}\n  tls: false\n\
         token:\n  ttl_seconds: 3600\n  refresh_check_seconds: 60\n\
         credentials:\n  - username: user1\n    password: {}\n  - username: user2\n    password: {}\n",
        password_of("user1"),
        password_of("user2"),
    );
    let settings = Settings::in_front_of(&upstream)
        .instead("config.yaml", &text)
        .slots_besides(2);
    let proxy = Proxy::start(&settings);
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn logs_are_one_json_object_a_line_when_asked() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(
        &settings
            .set("telemetry.log_format", "\"json\"")
            .set("telemetry.log_filter", "\"debug\""),
    );
    proxy.client(&upstream).get("/who").ok();
    let log = proxy.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        })
        .collect();
    assert!(lines.len() > 2);
    assert!(lines.iter().all(|line| line["level"].is_string()), "{log}");
}

#[test]
fn an_endpoint_for_traces_is_accepted_with_a_warning() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("telemetry.otlp_endpoint", "\"http://localhost:4317\""));
    assert!(
        proxy.log().contains("otlp_endpoint"),
        "the log says that nothing is exported"
    );
}

#[test]
fn several_addresses_are_listened_on() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("listen", "[\"127.0.0.1:0\", \"[::1]:0\"]"));
    let addresses = proxy.status().listen;
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in addresses {
        let address = address.parse().expect("an address");
        common::client::Client::connect_watched(address, &upstream)
            .get("/who")
            .ok();
    }
    upstream.assert_clean();
}
