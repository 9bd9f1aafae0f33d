//! The executable: its flags and its signals.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tpp-standin"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("http://").unwrap().to_owned();
        Self {
            child,
            lines,
            address,
        }
    }

    fn tell(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    /// The status and the body of an answer.
    fn post(&self, path: &str, token: &str, body: &str) -> (String, serde_json::Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].to_owned(), serde_json::from_str(body).unwrap())
    }

    fn login(&self, user: &str, password: &str) -> serde_json::Value {
        let body = serde_json::json!({ "username": user, "password": password });
        self.post("/api/login", "", &body.to_string()).1
    }

    fn execute(&self, token: &str) -> String {
        self.post("/api/execute", token, r#"{"script":"1"}"#).0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended as it was told to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_its_accounts_until_it_is_told_to_end_and_says_what_it_saw() {
    let mut program = Program::start(&["--user", "ann:a:b", "--user", "bob:x"]);
    let granted = program.login("ann", "a:b");
    let token = granted["result"][0].as_str().unwrap().replace('\n', "");
    assert_eq!(program.login("bob", "y")["code"], "1");
    assert_eq!(program.execute(&token), "200");
    program.tell(Signal::SIGHUP);
    // The signal is on its way: executes are answered until it has arrived, and by none afterwards.
    while program.execute(&token) == "200" {}
    assert_eq!(program.execute(&token), "401");
    program.tell(Signal::SIGTERM);
    let stats = program.lines.next().unwrap().unwrap();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["logins"], &stats["logins_refused"]),
        (&1.into(), &1.into())
    );
    assert!(stats["unauthorized"].as_u64() >= Some(1), "{stats}");
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn an_account_without_a_colon_is_a_usage_error() {
    let refused = Command::new(env!("CARGO_BIN_EXE_tpp-standin"))
        .args(["--user", "ann"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("a name, a colon and a password are wanted"),
        "{said}"
    );
}
