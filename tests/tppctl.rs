//! `tppctl` as a process, against a supervisor that plays back one reply.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader},
    os::unix::{net::UnixListener, process::ExitStatusExt},
    path::PathBuf,
    process::{Command as Process, Output, Stdio},
    sync::mpsc,
    thread,
};

use crate::common::built::built;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tpp::control::{
    Command, GatewayStatus, Health, PoolStatus, Reply, Request, Response, Slow, Status,
    TokenStatus,
    frame::{self, MAX_REQUEST_BYTES},
};

/// Answers every request with the same reply. Its thread ends with the test's process.
struct Supervisor {
    directory: TempDir,
    asked: mpsc::Receiver<Command>,
}

impl Supervisor {
    fn that_says(reply: Reply) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
        let (ask, asked) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request: Request = frame::read(&mut stream, MAX_REQUEST_BYTES).unwrap();
                if ask.send(request.command).is_err() {
                    return;
                }
                // The client may be gone already: some tests kill it.
                let _ = frame::write(&mut stream, &Response::new(reply.clone()));
            }
        });
        Self { directory, asked }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn tppctl(&self, arguments: &[&str]) -> Process {
        let mut process = tppctl(arguments);
        process.env("TPP_CONTROL_SOCKET", self.socket());
        process
    }

    /// Runs tppctl to its end; its output, and the command it sent.
    fn run(&self, arguments: &[&str]) -> (Output, Command) {
        let output = self.tppctl(arguments).output().unwrap();
        (output, self.asked.recv().unwrap())
    }
}

fn tppctl(arguments: &[&str]) -> Process {
    let mut process = Process::new(built("tppctl"));
    process
        .args(arguments)
        .env_remove("TPP_CONTROL_SOCKET")
        .env_remove("COLUMNS")
        .stdin(Stdio::null());
    process
}

fn status() -> Status {
    Status {
        supervisors: Vec::new(),
        status: Health::Healthy,
        reasons: vec![],
        pool: PoolStatus {
            total: 2,
            in_use: 1,
            available: 1,
            waiting: 0,
        },
        configured_tokens: 2,
        version: "0.1.0".into(),
        pid: 1,
        uptime_seconds: 1,
        certificates: Vec::new(),
        listen: vec!["127.0.0.1:8080".into()],
        health_listen: "127.0.0.1:9090".into(),
        api_listen: None,
        upstream: "127.0.0.1:8848".into(),
        upstream_addresses: vec!["127.0.0.1:8848".into()],
        config_file: "tpp.toml".into(),
        config_generation: 1,
        config_loaded_at: 1,
        last_reload: None,
        longest_wait_ms: 0,
        idle_leases: 0,
        gateway: GatewayStatus::default(),
        slow: Slow::default(),
        requests: 0,
        request_errors: 0,
        worker_restarts: 0,
        workers: vec![],
    }
}

/// Asserts exit code, standard output and standard error.
#[track_caller]
fn ended(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let got = (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    );
    assert_eq!(got, (Some(code), stdout.to_owned(), stderr.to_owned()));
}

#[test]
fn each_command_sends_its_own_order() {
    let supervisor = Supervisor::that_says(Reply::Done("done".into()));
    let refresh = |user: Option<&str>| Command::Refresh {
        user: user.map(Into::into),
    };
    for (arguments, command) in [
        (&["reload"][..], Command::Reload),
        (&["restart"], Command::Restart),
        (&["refresh"], refresh(None)),
        (&["refresh", "--all"], refresh(None)),
        (&["refresh", "user1"], refresh(Some("user1"))),
    ] {
        let (output, sent) = supervisor.run(arguments);
        assert_eq!(sent, command);
        ended(&output, 0, "done\n", "");
    }
}

#[test]
fn the_status_is_plain_text_in_a_pipe() {
    let supervisor = Supervisor::that_says(Reply::Status(Box::new(status())));
    let (output, _) = supervisor.run(&["status"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("tpp 0.1.0: healthy\n\npool      [##########..........] 1 of 2 in use"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn the_status_exits_as_health_says() {
    for (health, code) in [
        (Health::Healthy, 0),
        (Health::Degraded, 0),
        (Health::Unhealthy, 1),
    ] {
        let shown = Status {
            status: health,
            ..status()
        };
        let supervisor = Supervisor::that_says(Reply::Status(Box::new(shown)));
        for arguments in [&["status"][..], &["status", "--json"]] {
            let (output, _) = supervisor.run(arguments);
            assert_eq!(output.status.code(), Some(code), "{health:?} {arguments:?}");
            assert!(!output.stdout.is_empty(), "it is shown all the same");
            assert!(output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn json_is_the_reply_itself() {
    let supervisor = Supervisor::that_says(Reply::Status(Box::new(status())));
    let (output, _) = supervisor.run(&["status", "--json"]);
    ended(
        &output,
        0,
        &format!("{}\n", serde_json::to_string_pretty(&status()).unwrap()),
        "",
    );

    let supervisor = Supervisor::that_says(Reply::Tokens(vec![]));
    let (output, sent) = supervisor.run(&["tokens", "--json"]);
    ended(&output, 0, "[]\n", "");
    assert_eq!(sent, Command::Tokens);

    let supervisor = Supervisor::that_says(Reply::Workers(vec![]));
    let (output, sent) = supervisor.run(&["workers", "--json"]);
    ended(&output, 0, "[]\n", "");
    assert_eq!(sent, Command::Workers);
}

#[test]
fn a_failure_is_one_line_and_exit_code_1() {
    let supervisor = Supervisor::that_says(Reply::Failed("no such user: \x1buser9".into()));
    let (output, _) = supervisor.run(&["refresh", "user9"]);
    ended(&output, 1, "", "tppctl: no such user: \\u{1b}user9\n");
}

#[test]
fn a_refused_configuration_is_a_line_for_each_problem_and_exit_code_78() {
    let supervisor = Supervisor::that_says(Reply::Invalid(vec![
        "tpp.toml:1: a".into(),
        "tpp.toml:2: b".into(),
    ]));
    let (output, _) = supervisor.run(&["reload"]);
    ended(
        &output,
        78,
        "",
        "tppctl: tpp.toml:1: a\ntppctl: tpp.toml:2: b\n",
    );
}

#[test]
fn an_answer_to_another_question_is_a_failure() {
    let supervisor = Supervisor::that_says(Reply::Tokens(vec![]));
    let (output, _) = supervisor.run(&["status"]);
    ended(
        &output,
        1,
        "",
        "tppctl: the supervisor answered another question: tokens\n",
    );
}

#[test]
fn an_absent_supervisor_is_named_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let output = tppctl(&["status", "--socket", socket.to_str().unwrap()])
        .output()
        .unwrap();
    let line = format!(
        "tppctl: {}: no such socket; is tpp running, and is this its control_socket?\n",
        socket.display()
    );
    ended(&output, 1, "", &line);
}

/// Runs `tppctl check` on a file that holds `content`; its output, and the file's path.
fn check(content: &str) -> (Output, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tpp.toml");
    std::fs::write(&file, content).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (
        tppctl(&["check", &file]).env_clear().output().unwrap(),
        file,
    )
}

const GOOD: &str = "\
[upstream]
host = '192.0.2.1'
[[credentials]]
username = 'user1'
password = 'sesame'
sessions = 2
";

#[test]
fn a_good_configuration_is_called_good() {
    let (output, file) = check(GOOD);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with(&format!("{file}: good, 2 tokens of 1 user\n")),
        "{text}"
    );
    assert!(!text.contains("sesame"), "{text}");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn every_problem_of_a_configuration_is_a_line_and_exit_code_78() {
    let (output, file) = check(&format!("lissten = 1\nhealth_listen = 'nowhere'\n{GOOD}"));
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        (output.status.code(), output.stdout.len(), lines.len()),
        (Some(78), 0, 2),
        "{text}"
    );
    assert!(
        lines[0].starts_with(&format!("tppctl: {file}:1:")) && lines[0].contains("lissten"),
        "{text}"
    );
    assert!(
        lines[1].starts_with(&format!("tppctl: {file}:2:")) && lines[1].contains("health_listen"),
        "{text}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_failure() {
    let output = tppctl(&["check", "/nonexistent/tpp.toml"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), text.lines().count()),
        (Some(1), 1),
        "{text}"
    );
    assert!(
        text.starts_with("tppctl: /nonexistent/tpp.toml: "),
        "{text}"
    );
}

#[test]
fn wrong_use_is_exit_code_2() {
    let output = tppctl(&["status", "--sokcet", "x"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--sokcet"));
}

#[test]
fn the_version_is_the_packages() {
    let output = tppctl(&["--version"]).output().unwrap();
    ended(
        &output,
        0,
        concat!("tppctl ", env!("CARGO_PKG_VERSION"), "\n"),
        "",
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let slot = |slot| TokenStatus {
        slot,
        user: "user1".into(),
        state: "free".into(),
        age_seconds: None,
        refresh_in_seconds: None,
        holder: None,
        uses: 0,
        errors: 0,
        last_error: None,
        fingerprint: None,
        pool: "default".into(),
        provider: "dolphindb".into(),
        expires_in_seconds: None,
        last_used_seconds: None,
        held_ms: None,
        client: None,
        idle_ms: None,
    };
    // More than a pipe holds, so that the reader is gone before all is written.
    let supervisor = Supervisor::that_says(Reply::Tokens((0..4096).map(slot).collect()));
    let mut child = supervisor
        .tppctl(&["tokens"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("SLOT"), "{line}");
    ended(&child.wait_with_output().unwrap(), 0, "", "");
}

#[test]
fn watching_repeats_until_interrupted() {
    let supervisor = Supervisor::that_says(Reply::Status(Box::new(status())));
    let mut child = supervisor
        .tppctl(&["status", "--watch", "0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let headings = lines.filter(|line| line == "tpp 0.1.0: healthy").take(3);
    assert_eq!(headings.count(), 3);
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    // Or it found the pipe closed first.
    assert!(
        output.status.signal() == Some(2) || output.status.success(),
        "{:?}",
        output.status
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
