//! An upstream that answers at once and keeps nothing, so that it can be asked millions of times.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use crate::{
    common::{
        http::{Framing, Head, read_body, read_head},
        settings::DIRECTORY,
    },
    door::TlsDoor,
    ledger::Ledger,
};

/// Hundreds of threads must fit.
const STACK: usize = 256 << 10;
/// Seconds that a token is good for: each is renewed many times in a long run.
const TTL_SECONDS: u64 = 60;
/// Length of an answer.
const ANSWER_BYTES: usize = 1024;

/// Length of an answer to who asks for much: more than all buffers hold.
const LARGE_ANSWER_BYTES: usize = 12_000_000;

/// It listens as long as the program runs.
pub(crate) struct Upstream {
    address: SocketAddr,
    /// It speaks TLS.
    door: Option<TlsDoor>,
}

impl Upstream {
    /// The server of this number, behind a door of TLS or not.
    pub(crate) fn start(number: usize, speaks_tls: bool, ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind the upstream");
        let address = listener.local_addr().expect("a bound socket");
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let ledger = Arc::clone(&ledger);
                let serve = move || {
                    // tpp may close a connection whenever no request is under way.
                    let _ = serve(&stream, number, &ledger);
                };
                let builder = thread::Builder::new().stack_size(STACK);
                builder.spawn(serve).expect("a thread for a connection");
            }
        });
        let door = speaks_tls.then(|| TlsDoor::to(address, "127.0.0.1"));
        Self { address, door }
    }

    /// The certificate of the authority behind its door, in PEM.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.door.as_ref().map(TlsDoor::authority)
    }

    /// A tpp.toml with `tokens` accounts of one session each.
    pub(crate) fn configuration(&self, tokens: usize) -> String {
        let address = self.door.as_ref().map_or(self.address, TlsDoor::address);
        let (host, port, tls) = (address.ip(), address.port(), self.door.is_some());
        let trust = if tls {
            format!("ca_file = \"{DIRECTORY}/authority.pem\"\n")
        } else {
            String::new()
        };
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\nhealth_listen = \"127.0.0.1:0\"\ncontrol_socket = \"{DIRECTORY}/control.sock\"\n\
             [workers]\ncount = 2\n[upstream]\nhost = \"{host}\"\nport = {port}\ntls = {tls}\n{trust}\
             [client]\nstall_timeout_seconds = 5\n[lease]\nabandoned_wait_seconds = 5\ncontended_idle_ms = 0\n\
             [token]\nttl_seconds = {TTL_SECONDS}\nrefresh_check_seconds = 1\n"
        );
        for user in 0..tokens {
            text += &format!("[[credentials]]\nusername = \"user{user}\"\npassword = \"p\"\n");
        }
        text
    }
}

/// Serves one connection to its end.
fn serve(mut stream: &TcpStream, number: usize, ledger: &Ledger) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let filler = vec![b'x'; ANSWER_BYTES];
    while let Some(raw) = read_head(&mut reader)? {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let head = Head::parse(&raw).map_err(wrong)?;
        let mut body = Vec::new();
        read_body(
            &mut reader,
            head.framing(Framing::Empty).map_err(wrong)?,
            |piece| {
                body.extend_from_slice(piece);
                Ok(())
            },
        )?;
        let mut working = None;
        let answer = if head.line.starts_with("POST /api/login ") {
            log_in(&body, number, ledger).into_bytes()
        } else {
            working = note(&head, number, ledger);
            if head.line.starts_with("GET /much ") {
                vec![b'x'; LARGE_ANSWER_BYTES]
            } else {
                filler.clone()
            }
        };
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        )
        .into_bytes();
        bytes.extend(answer);
        let last = bytes.len() - 1;
        if last > ANSWER_BYTES * 2 {
            stream.write_all(&bytes[..last])?;
            bytes.drain(..last);
        }
        drop(working);
        stream.write_all(&bytes)?;
    }
    Ok(())
}

fn log_in(body: &[u8], server: usize, ledger: &Ledger) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let token = ledger.issue(body["username"].as_str().unwrap_or_default(), server);
    serde_json::json!({"code": "0", "message": "", "result": token}).to_string()
}

/// A token that a server is at work for.
struct Working<'a>(&'a Ledger, String);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.has_done(&self.1);
    }
}

fn note<'a>(head: &Head, server: usize, ledger: &'a Ledger) -> Option<Working<'a>> {
    let conn = head.field("x-conn").and_then(|text| text.parse().ok());
    let token = head
        .field("authorization")
        .and_then(|text| text.strip_prefix("Bearer "));
    match (conn, token) {
        (Some(conn), Some(token)) => {
            ledger.uses(conn, token, server);
            Some(Working(ledger, token.to_owned()))
        }
        _ => {
            ledger.fault(format!(
                "a request of nobody, or without a token: {:?}",
                head.line
            ));
            None
        }
    }
}
