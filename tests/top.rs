//! `tppctl top` as a process: on a terminal of its own, and in a pipe.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    process::{Command as Process, Output, Stdio},
    thread,
};

use crate::common::built::built;
use serde_json::json;
use tempfile::TempDir;
use tpp::control::{
    Command, Reply, Request, Response, Status,
    frame::{self, MAX_REQUEST_BYTES},
};

/// A supervisor with one pool, whose only token is held.
fn supervisor() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = UnixListener::bind(directory.path().join("control.sock")).expect("a socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let request: Result<Request, _> = frame::read(&mut stream, MAX_REQUEST_BYTES);
            let Ok(request) = request else { continue };
            // The client may be gone already.
            let _ = frame::write(&mut stream, &Response::new(answer(&request.command)));
        }
    });
    directory
}

fn answer(command: &Command) -> Reply {
    match command {
        Command::Status => Reply::Status(Box::new(status())),
        Command::Pools => {
            let pools = json!([{
                "name": "default", "paused": false, "total": 1, "in_use": 1, "available": 0, "waiting": 0,
                "configured_tokens": 1, "idle_leases": 0, "longest_wait_ms": 0, "all_refused": false,
            }]);
            Reply::Pools(serde_json::from_value(pools).expect("pools"))
        }
        Command::Tokens => {
            let tokens = json!([{
                "slot": 0, "user": "user1", "state": "leased", "age_seconds": 60, "refresh_in_seconds": 60, "holder": 1,
                "uses": 7, "errors": 0, "last_error": null, "fingerprint": null, "pool": "default",
                "held_ms": 90_000, "client": "10.0.0.7", "idle_ms": null,
            }]);
            Reply::Tokens(serde_json::from_value(tokens).expect("tokens"))
        }
        Command::EndLease { pool, slot } => Reply::Done(format!("ended {slot} of {pool}")),
        other => Reply::Failed(format!("not for this test: {other:?}")),
    }
}

fn status() -> Status {
    let status = json!({
        "status": "healthy", "reasons": [], "pool": {"total": 1, "in_use": 1, "available": 0, "waiting": 0},
        "configured_tokens": 1, "version": "0.1.0", "pid": 1, "uptime_seconds": 5, "listen": [], "health_listen": "",
        "upstream": "", "upstream_addresses": [], "config_file": "", "config_generation": 1, "config_loaded_at": 1,
        "last_reload": null, "longest_wait_ms": 0, "requests": 3, "request_errors": 0, "worker_restarts": 0, "workers": [],
    });
    serde_json::from_value(status).expect("a status")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn in_a_pipe_it_is_told_once_and_plainly() {
    let directory = supervisor();
    for arguments in [&["top", "--once"][..], &["top"]] {
        let output = Process::new(built("tppctl"))
            .args(arguments)
            .env("TPP_CONTROL_SOCKET", directory.path().join("control.sock"))
            .stdin(Stdio::null())
            .output()
            .expect("run tppctl");
        let told = text(&output);
        assert!(output.status.success(), "{output:?}");
        assert!(!told.contains('\x1b'), "{told:?}");
        for part in [
            "tpp 0.1.0: healthy",
            "POOL",
            "10.0.0.7",
            "1m30s",
            "no backends",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

/// Reads until all that was told has `wanted` in it.
fn read_until(stdout: &mut impl Read, told: &mut String, wanted: &str) {
    let mut part = [0; 4096];
    while !told.contains(wanted) {
        let read = stdout.read(&mut part).expect("read the terminal");
        assert!(read > 0, "{wanted:?} does not come: {told:?}");
        told.push_str(&String::from_utf8_lossy(&part[..read]));
    }
}

#[test]
fn on_a_terminal_keys_turn_it_act_and_quit_it() {
    let directory = supervisor();
    let socket = directory.path().join("control.sock");
    let tppctl = built("tppctl");
    // script gives it a terminal of its own, which has no size at first.
    let run = format!(
        "stty rows 24 cols 100; exec '{}' --socket '{}' top",
        tppctl.display(),
        socket.display()
    );
    let mut child = Process::new("script")
        .args(["--quiet", "--return", "--command", &run, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start script, of util-linux");
    let mut keys = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut told = String::new();
    read_until(&mut stdout, &mut told, "quit");
    keys.write_all(b"2").expect("press");
    // Only what differs from what was there before is written: nothing but words can be looked for.
    read_until(&mut stdout, &mut told, "kill");
    keys.write_all(b"k").expect("press");
    read_until(&mut stdout, &mut told, "y/n");
    keys.write_all(b"y").expect("press");
    read_until(&mut stdout, &mut told, "ended");
    keys.write_all(b"q").expect("press");
    // The terminal is as it was before.
    read_until(&mut stdout, &mut told, "\x1b[?1049l");
    assert!(child.wait().expect("it ends").success());
}
