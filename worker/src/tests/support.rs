//! A region, a worker that serves it, an upstream that records what reaches it, and raw clients.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tpp::{
    bells::BellBoard,
    config::{LeaseMode, LogFormat},
    pool::{Census, Desk, SlotIndex, Stock, Totals, WorkerSettings},
    region::{Geometry, Region},
};

use crate::run::Process;

/// A hang is a failure; nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `claim` holds.
#[track_caller]
pub(crate) fn eventually(mut claim: impl FnMut() -> bool, what: &'static str) -> impl Future<Output = ()> {
    async move {
        let held = timeout(PATIENCE, async {
            while !claim() {
                sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(held.await.is_ok(), "never came true: {what}");
    }
}

/// Settings for tests: generous where a test does not narrow them.
pub(crate) fn settings() -> WorkerSettings {
    WorkerSettings {
        trust_forwarded: false,
        workers: 1,
        drain_timeout: Duration::from_secs(10),
        upstream_host: "upstream.example".to_owned(),
        upstream_port: 8848,
        tls: false,
        ca_file: None,
        verify: true,
        connect_timeout: Duration::from_secs(2),
        tls_handshake_timeout: Duration::from_secs(5),
        response_header_timeout: Some(Duration::from_secs(30)),
        upstream_idle_timeout: Duration::from_secs(90),
        max_idle_connections: 100,
        login_timeout: Duration::from_secs(10),
        lease_mode: LeaseMode::Connection,
        wait_timeout: None,
        max_waiting: None,
        idle_timeout: Some(Duration::from_secs(60)),
        max_hold: None,
        log_filter: "info".to_owned(),
        log_format: LogFormat::Text,
    }
}

/// A worker and all that it needs.
pub(crate) struct Bench {
    pub(crate) stock: Stock,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Bench {
    /// A worker over `slots` slots in front of `upstream`.
    pub(crate) fn new(slots: usize, upstream: &[SocketAddr], settings: &WorkerSettings) -> Self {
        let geometry = Geometry { slots: 64, seats: 2, token_bytes: 256 };
        let region = Arc::new(Region::create(geometry).unwrap());
        region.set_slots_used(slots);
        let stock = Stock::new(region, BellBoard::create(geometry.seats).unwrap());
        stock.publish_settings(settings).unwrap();
        stock.publish_upstream(upstream).unwrap();
        let (seat, epoch) = stock.fill_seat().unwrap();
        let desk = Desk::new(Arc::clone(stock.region()), stock.bells().try_clone().unwrap(), seat, epoch);
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let process = Process::start(desk, vec![(address.to_string(), listener.into())], |_| {}).unwrap();
        let bench = Self { stock, process, address };
        (0..slots).for_each(|slot| bench.install(slot, "first"));
        bench
    }

    pub(crate) fn install(&self, slot: usize, text: &str) {
        self.stock.install(SlotIndex::new(slot), format!("{text}-{slot}").as_bytes()).unwrap();
    }

    pub(crate) fn census(&self) -> Census {
        self.stock.pool().census()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.stock.totals()
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), inbox: Vec::new() }
    }

    /// Waits until every slot is free again and no connection is open.
    pub(crate) async fn all_is_given_back(&self) {
        let claim = || {
            let (census, totals) = (self.census(), self.totals());
            census.in_use == 0
                && census.waiting == 0
                && totals.connections_opened == totals.connections_closed
                && totals.acquisitions == totals.releases
        };
        eventually(claim, "all slots free, all connections closed").await;
    }
}

/// A client that sends and receives bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    inbox: Vec<u8>,
}

/// An answer as a client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Panics unless it is an error of tpp's own.
    #[track_caller]
    pub(crate) fn assert_own(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.starts_with("{\"details\":\"") && self.body.contains("\"error\":\""), "{self:?}");
        assert_eq!(self.field("Content-Type"), Some("application/json"), "{self:?}");
        assert_eq!(self.field("Server"), None, "{self:?}");
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        self.answer().await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        self.answer().await
    }

    /// The next answer, whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer(false)).await.expect("an answer").expect("an answer, not the end")
    }

    /// The next answer, which has no body whatever its head says.
    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer(true)).await.expect("an answer").expect("an answer, not the end")
    }

    /// Whether the worker has closed the connection without another byte.
    pub(crate) async fn is_at_end(&mut self) -> bool {
        let read = timeout(PATIENCE, self.more()).await.expect("bytes or the end");
        self.inbox.is_empty() && !read
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.inbox).await, Ok(1..))
    }

    async fn read_answer(&mut self, is_head: bool) -> Option<Answer> {
        let head = loop {
            if let Some(at) = find(&self.inbox, b"\r\n\r\n") {
                let head: Vec<u8> = self.inbox.drain(..at + 4).collect();
                break String::from_utf8(head).unwrap();
            }
            if !self.more().await {
                return None;
            }
        };
        let status = head[9..12].parse().unwrap();
        let body = if is_head || status < 200 {
            Vec::new()
        } else if let Some(length) = field(&head, "Content-Length") {
            let length = length.parse().unwrap();
            while self.inbox.len() < length {
                assert!(self.more().await, "cut in the body: {head}");
            }
            self.inbox.drain(..length).collect()
        } else if field(&head, "Transfer-Encoding").is_some() {
            self.read_chunks().await
        } else {
            while self.more().await {}
            std::mem::take(&mut self.inbox)
        };
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    async fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.inbox, b"\r\n") {
                    break String::from_utf8(self.inbox.drain(..at + 2).collect()).unwrap();
                }
                assert!(self.more().await, "cut in the chunks");
            };
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            while self.inbox.len() < length + 2 {
                assert!(self.more().await, "cut in a chunk");
            }
            body.extend(self.inbox.drain(..length + 2).take(length));
            if length == 0 {
                return body;
            }
        }
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A request as the upstream saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// An upstream that answers by a script and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What a script does with its connection.
pub(crate) enum Act {
    /// Sends the bytes and reads the next request.
    Say(Vec<u8>),
    /// Sends the bytes and closes.
    SayAndClose(Vec<u8>),
    /// Sends nothing, ever.
    Hang,
}

pub(crate) fn ok(body: &str) -> Act {
    Act::Say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

impl Upstream {
    /// Answers each request with the token it came with.
    pub(crate) async fn echo() -> Self {
        Self::scripted(|seen| ok(seen.field("Authorization").unwrap_or("none"))).await
    }

    pub(crate) async fn scripted(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, script) = (Arc::clone(&upstream.seen), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Client { stream, inbox: Vec::new() }, Arc::clone(&seen), Arc::clone(&script)));
            }
        });
        upstream
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn serve(mut peer: Client, seen: Arc<Mutex<Vec<Seen>>>, script: Arc<impl Fn(&Seen) -> Act>) {
    while let Some(request) = read_request(&mut peer).await {
        seen.lock().push(request.clone());
        match script(&request) {
            Act::Say(bytes) => {
                if peer.stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SayAndClose(bytes) => {
                let _ = peer.stream.write_all(&bytes).await;
                return;
            }
            Act::Hang => {
                while peer.more().await {}
                return;
            }
        }
    }
}

async fn read_request(peer: &mut Client) -> Option<Seen> {
    let head = loop {
        if let Some(at) = find(&peer.inbox, b"\r\n\r\n") {
            break String::from_utf8(peer.inbox.drain(..at + 4).collect()).unwrap();
        }
        if !peer.more().await {
            return None;
        }
    };
    let body = if field(&head, "Transfer-Encoding").is_some() {
        peer.read_chunks().await
    } else {
        let length = field(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
        while peer.inbox.len() < length {
            if !peer.more().await {
                return None;
            }
        }
        peer.inbox.drain(..length).collect()
    };
    Some(Seen { head, body })
}
