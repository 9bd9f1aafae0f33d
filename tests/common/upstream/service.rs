//! Everything at the upstream that is not a login: it asks for a live token, and what it then does the path says.
//!
//! | path | answer |
//! |---|---|
//! | `/head` | JSON of the request's head as it arrived |
//! | `/echo` | the request's body, piece by piece as it comes, framed as it came |
//! | `/echo/MS` | the request's body in one piece, after so many milliseconds |
//! | `/sum` | JSON of the body's length and sum |
//! | `/delay/MS`, `/gate/NAME` | after so many milliseconds, or once the test opens that gate |
//! | `/bytes/N`, `/chunks/N`, `/until-close/N` | a body of N bytes: of that length, in chunks, to the connection's end |
//! | `/steps/NAME/N` | N chunks; before each but the first the gate `NAME-i` must open |
//! | `/cut/N`, `/cut-chunks/N`, `/cut-head`, `/drop`, `/reset` | an answer that breaks off after N bytes, in its head, before it |
//! | `/garbage` | bytes that are not HTTP |
//! | `/status/N` | that status |
//! | `/refuse`, `/refuse-once` | 401, always or to a connection's first such request |
//! | `/early` | 413 before the body is read, then close |
//! | `/close`, `/until-close` | the connection is closed after the answer, said so or not |
//! | `/hop` | fields that concern this hop alone |
//! | `/websocket` | 101, then every byte comes back |
//! | any other | JSON of who asked |

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Shared,
    oracle::{Account, Turn},
    request::{Reader, Received, Seen},
};
use crate::common::http::{Framing, pattern, read_body};

/// An answer larger than this does not leave in one instant.
const LARGE: usize = 64 << 10;

/// One request on its way to an answer.
pub(super) struct Exchange<'a> {
    shared: &'a Shared,
    request: Received,
    reader: &'a mut Reader,
    pub(super) to: &'a mut TcpStream,
    turn: Option<Turn>,
    user: String,
}

/// Serves one request. `Ok(true)`: the connection may be used again.
pub(super) fn answer(
    shared: &Shared,
    request: Received,
    reader: &mut Reader,
    to: &mut TcpStream,
) -> io::Result<bool> {
    let known = request
        .token()
        .and_then(|token| shared.tokens().look_up(token));
    let live = known.as_ref().is_some_and(|(_, live)| *live);
    let account = known.map(|(account, _)| account);
    let authorized = live && !refuses_on_purpose(shared, &request);
    note(shared, &request, account.as_ref(), authorized);
    let turn = account.as_ref().filter(|_| request.conn() != 0);
    let turn = turn.map(|account| shared.oracle.begins(request.conn(), account, to));
    let user = account.map(|account| account.user).unwrap_or_default();
    let mut exchange = Exchange {
        shared,
        request,
        reader,
        to,
        turn,
        user,
    };
    if authorized {
        return match exchange.used_up() {
            None => exchange.serve(),
            Some(seconds) => exchange.too_many(seconds),
        };
    }
    exchange.take_body()?;
    let status = match shared.refusal.load(SeqCst) {
        0 => 401,
        other => other,
    };
    exchange.json(
        status,
        &json!({"code": "401", "message": "the token is not valid"}),
    )
}

fn refuses_on_purpose(shared: &Shared, request: &Received) -> bool {
    let once = || {
        let seen = shared.seen.lock().expect("seen");
        !seen
            .iter()
            .any(|seen| seen.conn == request.conn() && seen.target == request.target)
    };
    request.target == "/refuse" || (request.target == "/refuse-once" && once())
}

fn note(shared: &Shared, request: &Received, account: Option<&Account>, authorized: bool) {
    if account.is_none() {
        shared.oracle.fault(format!(
            "no token that was ever issued: {:?}",
            request.head.line
        ));
    }
    shared.seen.lock().expect("seen").push(Seen {
        at: Instant::now(),
        conn: request.conn(),
        seq: request.seq(),
        user: account.map(|account| account.user.clone()),
        authorized,
        method: request.method.clone(),
        target: request.target.clone(),
        head: request.head.clone(),
    });
}

impl Exchange<'_> {
    /// For how long whoever asks is to wait, if it has asked too much.
    fn used_up(&self) -> Option<u64> {
        let used_up = self.shared.used_up.lock().expect("used_up");
        used_up.get(&self.user).copied()
    }

    fn too_many(&mut self, seconds: u64) -> io::Result<bool> {
        self.take_body()?;
        let field = format!("Retry-After: {seconds}\r\n");
        self.whole(429, &field, b"too many requests")
    }

    fn serve(&mut self) -> io::Result<bool> {
        let target = self.request.target.clone();
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            ["echo"] => return self.echo(),
            ["early"] => {
                return self
                    .whole(413, "Connection: close\r\n", b"too large")
                    .map(|_| false);
            }
            ["websocket"] => return self.websocket(),
            _ => self.take_body()?,
        }
        if let Some(turn) = &self.turn {
            turn.is_whole();
        }
        match parts.as_slice() {
            ["head"] => self.head(),
            ["sum"] => {
                let sum: u64 = self.request.body.iter().map(|&byte| u64::from(byte)).sum();
                self.json(200, &json!({"length": self.request.body.len(), "sum": sum}))
            }
            ["delay", millis] => {
                thread::sleep(Duration::from_millis(number(millis) as u64));
                self.who()
            }
            ["echo", millis] => {
                thread::sleep(Duration::from_millis(number(millis) as u64));
                let body = std::mem::take(&mut self.request.body);
                self.whole(200, "", &body)
            }
            ["gate", name] => {
                self.shared.gates.pass(name);
                self.who()
            }
            ["bytes", length] => self.whole(200, "", &pattern(number(length))),
            ["chunks", length] => self.stream(number(length), true),
            ["until-close", length] => self.stream(number(length), false),
            ["steps", name, steps] => self.steps(name, number(steps)),
            ["status", status] => {
                let status = u16::try_from(number(status)).unwrap_or(500);
                self.whole(status, "", b"as you say")
            }
            ["close"] => self
                .whole(200, "Connection: close\r\n", b"goodbye")
                .map(|_| false),
            ["hop"] => self.hop(),
            broken => self.break_off(broken),
        }
    }

    /// Reads the body, having asked for it if the client waits to be asked.
    fn take_body(&mut self) -> io::Result<()> {
        self.say_continue()?;
        self.request.read_whole_body(self.reader)
    }

    fn say_continue(&mut self) -> io::Result<()> {
        if self.request.head.lists("expect", "100-continue") {
            self.to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.end();
        }
    }

    pub(super) fn who(&mut self) -> io::Result<bool> {
        let (conn, seq) = (self.request.conn(), self.request.seq());
        self.json(200, &json!({"user": self.user, "conn": conn, "seq": seq}))
    }

    fn head(&mut self) -> io::Result<bool> {
        let head = json!({"line": self.request.head.line, "fields": self.request.head.fields});
        self.json(200, &head)
    }

    fn hop(&mut self) -> io::Result<bool> {
        let fields = "Connection: X-Hop\r\nX-Hop: secret of this hop\r\nKeep-Alive: timeout=7\r\n\
                      Proxy-Authenticate: Basic\r\nX-End: for the client\r\n";
        self.whole(200, fields, b"hop")
    }

    fn json(&mut self, status: u16, body: &Value) -> io::Result<bool> {
        self.whole(
            status,
            "Content-Type: application/json\r\n",
            body.to_string().as_bytes(),
        )
    }

    /// An answer in one piece.
    fn whole(&mut self, status: u16, fields: &str, body: &[u8]) -> io::Result<bool> {
        let bodiless = matches!(status, 204 | 304);
        let length = if bodiless {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let mut bytes = format!("HTTP/1.1 {status} As Said\r\n{fields}{length}\r\n").into_bytes();
        if self.request.method != "HEAD" && !bodiless {
            bytes.extend_from_slice(body);
        }
        // As long as a large answer is not all written, it is at work.
        let last = bytes.len().saturating_sub(1);
        let first = if last > LARGE { last } else { 0 };
        self.to.write_all(&bytes[..first])?;
        self.end_turn();
        self.to.write_all(&bytes[first..])?;
        Ok(true)
    }

    /// A body of `length` bytes without a word of its length.
    fn stream(&mut self, length: usize, in_chunks: bool) -> io::Result<bool> {
        let piece = [b'x'; 16 << 10];
        let field = if in_chunks {
            "Transfer-Encoding: chunked\r\n"
        } else {
            ""
        };
        write!(self.to, "HTTP/1.1 200 OK\r\n{field}\r\n")?;
        let mut left = length;
        while left > 0 {
            let now = left.min(piece.len());
            left -= now;
            if in_chunks {
                write!(self.to, "{now:x}\r\n")?;
            }
            self.to.write_all(&piece[..now])?;
            if in_chunks {
                self.to.write_all(b"\r\n")?;
            }
        }
        self.end_turn();
        if in_chunks {
            self.to.write_all(b"0\r\n\r\n")?;
        }
        Ok(in_chunks)
    }

    fn steps(&mut self, name: &str, steps: usize) -> io::Result<bool> {
        self.to
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for step in 0..steps {
            if step > 0 {
                self.shared.gates.pass(&format!("{name}-{step}"));
            }
            let chunk = format!("step {step};");
            write!(self.to, "{:x}\r\n{chunk}\r\n", chunk.len())?;
        }
        self.end_turn();
        self.to.write_all(b"0\r\n\r\n")?;
        Ok(true)
    }

    fn echo(&mut self) -> io::Result<bool> {
        self.say_continue()?;
        let framing = self.request.framing;
        let (chunked, mut left) = match framing {
            Framing::Length(length) => (false, length),
            _ => (framing == Framing::Chunked, 0),
        };
        let how = if chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {left}")
        };
        write!(self.to, "HTTP/1.1 200 OK\r\n{how}\r\n\r\n")?;
        let (to, turn) = (&mut *self.to, &mut self.turn);
        read_body(self.reader, framing, |piece| {
            if chunked {
                write!(to, "{:x}\r\n", piece.len())?;
                to.write_all(piece)?;
                return to.write_all(b"\r\n");
            }
            left -= piece.len() as u64;
            if left == 0 {
                turn.take();
            }
            to.write_all(piece)
        })?;
        self.turn.take();
        if chunked {
            self.to.write_all(b"0\r\n\r\n")?;
        }
        Ok(true)
    }

    fn websocket(&mut self) -> io::Result<bool> {
        self.to.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        let mut buffer = [0; 4096];
        loop {
            match self.reader.read(&mut buffer)? {
                0 => return Ok(false),
                length => self.to.write_all(&buffer[..length])?,
            }
        }
    }
}

pub(super) fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}
