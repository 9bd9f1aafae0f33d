//! An upstream that takes a given time for each request, and watches the tokens that come in.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::prctl;

use crate::Result;

/// Tokens of this upstream's own login begin so.
const TOKEN_PREFIX: &str = "bench-";

/// One very late sleeper does not spoil the average, in nanoseconds.
const MAX_OVERSLEEP: u64 = 1_000_000;

/// An upstream in this process: a thread for each connection, as a thread that sleeps wakes more exactly
/// than a timer wheel does. Dropping it stops the taking of connections.
#[derive(Debug)]
pub(crate) struct SlowUpstream {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    service: Duration,
    /// How late the sleepers wake, on average, in nanoseconds.
    oversleep: AtomicU64,
    logins: AtomicU64,
    stopping: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// What was seen since the last call of [`SlowUpstream::take_ledger`].
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// When each request arrived.
    pub(crate) arrivals: Vec<Instant>,
    /// Requests that came with a token that another request was using.
    pub(crate) doubled: u64,
    /// Time from arrival to answer, of all requests together.
    pub(crate) service: Duration,
    in_use: HashSet<String>,
}

/// What this upstream reads of a request.
#[derive(Debug)]
struct Request {
    is_login: bool,
    token: String,
}

impl SlowUpstream {
    /// Listens on loopback; each request but a login is answered `service` after its last byte came.
    pub(crate) fn start(service: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            service,
            oversleep: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            ledger: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                if shared.stopping.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&shared);
                // A connection that breaks is its client's affair, who counts it.
                thread::spawn(move || state.serve(&stream));
            }
        });
        Ok(Self { address, state })
    }

    /// What was seen since the last call.
    pub(crate) fn take_ledger(&self) -> Ledger {
        let mut ledger = self.state.ledger();
        let in_use = ledger.in_use.clone();
        std::mem::replace(
            &mut *ledger,
            Ledger {
                in_use,
                ..Ledger::default()
            },
        )
    }
}

impl Drop for SlowUpstream {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::Relaxed);
        // Only to wake the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        // By default the kernel may wake a sleeper 50 µs late.
        prctl::set_timerslack(1)?;
        stream.set_nodelay(true)?;
        let mut unread = Vec::new();
        while let Some(request) = Request::read(&mut stream, &mut unread)? {
            if request.is_login {
                self.log_in(stream)?;
            } else {
                self.answer(stream, request.token, Instant::now())?;
            }
        }
        Ok(())
    }

    fn log_in(&self, stream: &TcpStream) -> io::Result<()> {
        let number = self.logins.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            r#"{{"session":"{number}","user":"bench","code":"0","message":"","result":"{TOKEN_PREFIX}{number}"}}"#
        );
        respond(stream, &body)
    }

    fn answer(&self, stream: &TcpStream, token: String, arrival: Instant) -> io::Result<()> {
        let watched = token.starts_with(TOKEN_PREFIX);
        {
            let mut ledger = self.ledger();
            ledger.arrivals.push(arrival);
            if watched && !ledger.in_use.insert(token.clone()) {
                ledger.doubled += 1;
            }
        }
        self.sleep_until(arrival + self.service);
        {
            // Before the answer leaves: after it the token may be in use again.
            let mut ledger = self.ledger();
            ledger.in_use.remove(&token);
            ledger.service += arrival.elapsed();
        }
        respond(
            stream,
            r#"{"session":"1","user":"bench","code":"0","message":"","result":3}"#,
        )
    }

    /// Sleeps until `deadline`, give or take: a processor that idles wakes some 100 µs late, which
    /// would count against the proxy. Going to bed that much earlier makes the mean right without
    /// spinning.
    fn sleep_until(&self, deadline: Instant) {
        let early = Duration::from_nanos(self.oversleep.load(Ordering::Relaxed));
        let target = deadline - early;
        thread::sleep(target.saturating_duration_since(Instant::now()));
        let late = u64::try_from(target.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Only moves an average: whether two sleepers see each other's move does not matter.
        let average = self.oversleep.load(Ordering::Relaxed);
        let average = average - average / 16 + late.min(MAX_OVERSLEEP) / 16;
        self.oversleep.store(average, Ordering::Relaxed);
    }
}

impl Request {
    /// The next request, its body read and dropped; `None` at the end of the connection.
    fn read(stream: &mut impl Read, unread: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let end = loop {
            if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if read_more(stream, unread)? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&unread[..end]).into_owned();
        let header = |wanted: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
        };
        let length: usize = header("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        while unread.len() < end + length {
            if read_more(stream, unread)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        unread.drain(..end + length);
        let token = header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        Ok(Some(Self {
            is_login: head.starts_with("POST /api/login "),
            token: token.to_owned(),
        }))
    }
}

fn read_more(stream: &mut impl Read, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk)?;
    into.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn respond(mut stream: &TcpStream, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
    stream.write_all(format!("{head} {length}\r\n\r\n{body}").as_bytes())
}
