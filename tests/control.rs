//! `tppctl` tells people and programs what goes on, and exits as documented.

use std::{fs, process::Command};

use crate::common::{
    built::built,
    command::{Outcome, run},
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};

fn start() -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let settings = settings.account(
        &upstream,
        "a.user.with.a.long.name@a.long.domain.example",
        2,
    );
    let proxy = Proxy::start(&settings);
    (upstream, proxy)
}

/// `tppctl` with nothing but these arguments.
fn tppctl(arguments: &[&str]) -> Outcome {
    run(Command::new(built("tppctl"))
        .env_remove("TPP_CONTROL_SOCKET")
        .args(arguments))
}

#[track_caller]
fn assert_one_line(text: &str, words: &[&str]) {
    assert_eq!(text.trim_end().lines().count(), 1, "{text:?}");
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}

#[test]
fn status_shows_the_whole_picture() {
    let (upstream, proxy) = start();
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    wait_until("the request is counted", || proxy.status().requests == 1);
    let status = proxy.status();
    assert_eq!(format!("{:?}", status.status), "Healthy");
    assert_eq!(
        (status.pool.total, status.pool.in_use, status.pool.available),
        (4, 1, 3)
    );
    assert_eq!(status.configured_tokens, 4);
    assert_eq!(status.pid, proxy.supervisor_pid());
    assert_eq!(status.listen, [proxy.address().to_string()]);
    assert_eq!(status.upstream, upstream.address().to_string());
    assert_eq!(
        status.config_file,
        proxy.config_file().display().to_string()
    );
    assert_eq!(
        (
            status.config_generation,
            status.worker_restarts,
            status.request_errors
        ),
        (1, 0, 0)
    );
    assert_eq!(status.workers.len(), 2);
    let outcome = proxy.ctl(&["status"]);
    assert_eq!(outcome.code, Some(0));
    for word in [
        "healthy",
        &proxy.address().to_string(),
        &upstream.address().to_string(),
    ] {
        assert!(outcome.out.contains(word), "{} lacks {word}", outcome.out);
    }
}

#[test]
fn workers_shows_each_worker() {
    let (upstream, proxy) = start();
    let mut clients = [
        proxy.client(&upstream),
        proxy.client(&upstream),
        proxy.client(&upstream),
    ];
    clients
        .iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    let workers = proxy.workers();
    assert_eq!(
        workers.iter().map(|worker| worker.seat).collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(workers.iter().map(|worker| worker.leases).sum::<u64>(), 3);
    wait_until("three requests over three connections are counted", || {
        let sums = proxy
            .workers()
            .iter()
            .fold((0, 0), |(connections, requests), worker| {
                (connections + worker.connections, requests + worker.requests)
            });
        sums == (3, 3)
    });
    let table = proxy.ctl(&["workers"]).out;
    for worker in &workers {
        assert!(table.contains(&worker.pid.to_string()), "{table}");
    }
}

#[test]
fn tokens_shows_each_slot() {
    let (upstream, proxy) = start();
    let mut client = proxy.client(&upstream);
    let user = client.get("/who").ok().json()["user"]
        .as_str()
        .expect("a name")
        .to_owned();
    client.get("/who").ok();
    let tokens = proxy.tokens();
    assert_eq!(
        tokens.iter().map(|token| token.slot).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let leased: Vec<_> = tokens
        .iter()
        .filter(|token| token.state == "leased")
        .collect();
    assert_eq!(leased.len(), 1, "{tokens:?}");
    assert_eq!((leased[0].user.clone(), leased[0].uses), (user, 2));
    assert!(leased[0].holder.is_some_and(|seat| seat < 2));
    assert!(
        tokens
            .iter()
            .filter(|token| token.state == "free")
            .all(|token| token.holder.is_none())
    );
    let mut prints: Vec<_> = tokens
        .iter()
        .map(|token| token.fingerprint.clone().expect("of a token"))
        .collect();
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), 4, "each token has a fingerprint of its own");
    assert!(
        tokens
            .iter()
            .all(|token| token.refresh_in_seconds.is_some_and(|left| left <= 3600))
    );
}

#[test]
fn tables_are_plain_text_of_eighty_columns() {
    let (upstream, proxy) = start();
    upstream.script_login(
        "user0",
        Login::Refuse(&"an explanation that has no end and ".repeat(5).leak()[..]),
    );
    proxy.ctl(&["refresh", "user0"]);
    wait_until("the failure is shown", || {
        proxy.tokens()[0].last_error.is_some()
    });
    for command in ["status", "workers", "tokens"] {
        let outcome = proxy.ctl(&[command]);
        assert_eq!(
            (outcome.code, outcome.err.as_str()),
            (Some(0), ""),
            "{command}"
        );
        assert!(
            !outcome.out.contains('\u{1b}'),
            "colour without a terminal: {}",
            outcome.out
        );
        for line in outcome.out.lines() {
            assert!(
                line.chars().count() <= 80,
                "{} columns: {line:?}",
                line.chars().count()
            );
        }
    }
}

#[test]
fn refresh_logs_in_anew() {
    let (upstream, proxy) = start();
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    assert_eq!(proxy.ctl(&["refresh", "user0"]).code, Some(0));
    wait_until("user0 has logged in again", || {
        upstream.attempts_of("user0") == 2
    });
    assert_eq!(upstream.attempts().len(), 5, "nobody else has");
    assert_eq!(proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("all have logged in again", || {
        upstream.attempts().len() == 9
    });
    client.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn refresh_of_a_stranger_fails_and_says_so() {
    let (_upstream, proxy) = start();
    let outcome = proxy.ctl(&["refresh", "nobody"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_one_line(&outcome.err, &["nobody"]);
}

#[test]
fn no_supervisor_is_a_failure_that_names_the_socket() {
    let directory = tempfile::tempdir().expect("make a directory");
    let socket = directory.path().join("no.sock");
    let socket = socket.to_str().expect("a path in UTF-8");
    for command in ["status", "workers", "tokens", "reload", "restart"] {
        let outcome = tppctl(&["--socket", socket, command]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert_one_line(&outcome.err, &[socket]);
    }
}

#[test]
fn wrong_use_exits_with_two() {
    for arguments in [
        &["frobnicate"][..],
        &["status", "--no-such-flag"],
        &["check"],
        &[],
    ] {
        let outcome = tppctl(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(!outcome.err.is_empty());
    }
    assert_eq!(tppctl(&["--help"]).code, Some(0));
    assert_eq!(tppctl(&["--version"]).code, Some(0));
}

#[test]
fn the_socket_is_found_through_the_environment() {
    let (_upstream, proxy) = start();
    let mut command = Command::new(built("tppctl"));
    let outcome = run(command
        .env("TPP_CONTROL_SOCKET", proxy.control_socket())
        .args(["status", "--json"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn nobody_else_may_use_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let (_upstream, proxy) = start();
    let mode = fs::metadata(proxy.control_socket())
        .expect("the socket exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o007, 0, "mode {mode:o}");
}

#[test]
fn check_judges_a_file_without_a_supervisor() {
    let (_upstream, proxy) = start();
    let good = proxy.config_file();
    let bad = proxy.directory().join("bad.toml");
    fs::write(&bad, "listen = 7\n").expect("write a file");
    let missing = proxy.directory().join("missing.toml");
    for (file, code) in [(good, 0), (bad, 78), (missing, 1)] {
        let file = file.to_str().expect("a path in UTF-8");
        let outcome = tppctl(&["check", file]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(code == 0 || outcome.err.contains(file), "{outcome:?}");
    }
}

#[test]
fn a_stranger_at_the_socket_disturbs_nothing() {
    use std::{io::Write, os::unix::net::UnixStream};
    let (upstream, proxy) = start();
    let connect =
        || UnixStream::connect(proxy.control_socket()).expect("connect to the control socket");
    let _silent = connect();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\xff\xff\xff\xff",
        b"\0\0\0\x05hello",
        b"\0\0\0\x02{}",
    ] {
        drop(connect().write_all(bytes));
    }
    assert_eq!(proxy.ctl(&["status"]).code, Some(0));
    proxy.client(&upstream).get("/who").ok();
}
