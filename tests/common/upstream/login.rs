//! The upstream's `/api/login`: DolphinDB's documented answer, and all that a login server may do instead.

use std::{
    io::{self, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Shared, gates, request::Received};

/// What a login is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// A fresh token, if the password is right.
    Accept,
    /// The same, after a while.
    AcceptAfter(Duration),
    /// The same, once the test opens the gate of this name.
    AcceptAtGate(&'static str),
    /// The same, but for the first attempts, so many in number, which need not wait.
    AcceptAtGateAfter(usize, &'static str),
    /// The same with `code` as a number.
    AcceptNumericCode,
    /// DolphinDB's way of saying no.
    Refuse(&'static str),
    /// Success, with this in the place of the token.
    Result(Value),
    /// This status and this JSON.
    Json(u16, Value),
    /// A page for people.
    Html(u16),
    /// Bytes that are not HTTP.
    Garbage,
    /// A JSON string that goes on for so many bytes.
    Huge(u64),
    /// An order to ask elsewhere.
    Redirect(String),
    /// No answer at all; the connection stays.
    Hang,
    /// A head that breaks off.
    CutHead,
    /// No answer; the connection is closed.
    Close,
}

/// A login that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) user: String,
    /// Counts all attempts at this upstream from 0.
    pub(crate) number: usize,
}

/// Answers one login on `to`. `Ok(true)`: the connection may be used again.
pub(super) fn answer(shared: &Shared, request: &Received, to: &mut TcpStream) -> io::Result<bool> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (Some(user), Some(password)) = (body["username"].as_str(), body["password"].as_str())
    else {
        shared.oracle.fault(format!(
            "login without username and password: {} bytes",
            request.body.len()
        ));
        return json_answer(to, 400, &json!({"error": "bad login"}));
    };
    if request.head.line != "POST /api/login HTTP/1.1" {
        shared
            .oracle
            .fault(format!("login by {:?}", request.head.line));
    }
    let number = shared.note_attempt(user);
    let script = shared.script_for(user);
    let under_way = shared.logins_under_way.enter();
    match script {
        Login::Accept => accept(shared, (user, password), json!("0"), under_way, to),
        Login::AcceptNumericCode => accept(shared, (user, password), json!(0), under_way, to),
        Login::AcceptAfter(delay) => {
            thread::sleep(delay);
            accept(shared, (user, password), json!("0"), under_way, to)
        }
        Login::AcceptAtGateAfter(first, _) if number < first => {
            accept(shared, (user, password), json!("0"), under_way, to)
        }
        Login::AcceptAtGate(gate) | Login::AcceptAtGateAfter(_, gate) => {
            shared.gates.pass(gate);
            accept(shared, (user, password), json!("0"), under_way, to)
        }
        Login::Refuse(message) => json_answer(
            to,
            200,
            &reply(number, user, json!("1"), message, json!("")),
        ),
        Login::Result(result) => json_answer(to, 200, &reply(number, user, json!("0"), "", result)),
        other => misbehave(shared, other, to),
    }
}

fn accept(
    shared: &Shared,
    (user, password): (&str, &str),
    code: Value,
    under_way: gates::Inside<'_>,
    to: &mut TcpStream,
) -> io::Result<bool> {
    let answer = match shared.issue(user, password) {
        Some(token) => reply(token.session, user, code, "", json!(token.text)),
        None => reply(
            0,
            user,
            json!("1"),
            "The user name or password is incorrect.",
            json!(""),
        ),
    };
    // Whoever has the answer may begin the next one, before this thread goes on.
    drop(under_way);
    json_answer(to, 200, &answer)
}

fn misbehave(shared: &Shared, how: Login, to: &mut TcpStream) -> io::Result<bool> {
    match how {
        Login::Json(status, body) => json_answer(to, status, &body),
        Login::Html(status) => {
            let page = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>";
            write_answer(to, status, "Content-Type: text/html\r\n", page.as_bytes())
        }
        Login::Garbage => to
            .write_all(b"\x16\x03\x01 this is no HTTP at all \x00\xff\r\n\r\n")
            .map(|()| false),
        Login::Huge(length) => huge(shared, length, to).map(|()| false),
        Login::Redirect(target) => write_answer(to, 302, &format!("Location: {target}\r\n"), b""),
        Login::CutHead => to
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Le")
            .map(|()| false),
        Login::Hang => {
            shared.gates.pass("a login that hangs");
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// A success whose `result` is `length` bytes long; counts what the other side was ready to take.
fn huge(shared: &Shared, length: u64, to: &mut TcpStream) -> io::Result<()> {
    let (start, end) = (
        r#"{"session":"1","user":"u","code":"0","message":"","result":""#,
        "\"}",
    );
    let total = length + (start.len() + end.len()) as u64;
    write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {total}\r\n\r\n{start}"
    )?;
    let piece = [b'A'; 64 << 10];
    let mut left = length;
    while left > 0 {
        let now = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        to.write_all(&piece[..now])?;
        left -= now as u64;
        shared.note_huge_bytes(now);
    }
    to.write_all(end.as_bytes())
}

/// The answer as DolphinDB documents it.
fn reply(session: usize, user: &str, code: Value, message: &str, result: Value) -> Value {
    let session = (1_000_000 + session).to_string();
    json!({"session": session, "user": user, "code": code, "message": message, "result": result})
}

fn json_answer(to: &mut TcpStream, status: u16, body: &Value) -> io::Result<bool> {
    write_answer(
        to,
        status,
        "Content-Type: application/json\r\n",
        body.to_string().as_bytes(),
    )
}

fn write_answer(to: &mut TcpStream, status: u16, fields: &str, body: &[u8]) -> io::Result<bool> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status} Some\r\n{fields}Content-Length: {length}\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    to.write_all(&answer)?;
    Ok(true)
}
