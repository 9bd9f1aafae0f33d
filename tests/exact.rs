//! What is exact over all workers, counted where it counts: at the server behind them. Workers are killed meanwhile.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::{
    signal::Signal,
    socket::{MsgFlags, recv},
};

use crate::common::{processes, proxy::Proxy, settings::Settings, wait_until};

/// A server that counts how many requests it has at once.
struct Counting {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Connections of requests that are not answered yet.
    under_way: Mutex<Vec<(usize, TcpStream)>>,
    asked: AtomicUsize,
    most: AtomicUsize,
    /// Connections so far, and those that are open.
    connected: AtomicUsize,
    open: AtomicUsize,
    fails: AtomicBool,
    /// Answers wait.
    holds: AtomicBool,
}

impl State {
    /// Those whose other end has gone are not counted: their worker is dead.
    fn begin(&self, stream: &TcpStream) -> usize {
        let mut under_way = self.under_way.lock().expect("no panic");
        let number = self.asked.fetch_add(1, SeqCst);
        under_way.push((number, stream.try_clone().expect("a descriptor")));
        let is_open = |stream: &TcpStream| {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            recv(stream.as_raw_fd(), &mut [0], flags) == Err(nix::errno::Errno::EAGAIN)
        };
        let open = under_way.iter().filter(|(_, one)| is_open(one)).count();
        self.most.fetch_max(open, SeqCst);
        number
    }

    fn end(&self, number: usize) {
        let mut under_way = self.under_way.lock().expect("no panic");
        under_way.retain(|(one, _)| *one != number);
    }
}

impl Counting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&served);
                state.connected.fetch_add(1, SeqCst);
                state.open.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    // Whatever ends it.
                    let _ = serve(stream, &state);
                    state.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, state }
    }

    fn asked(&self) -> usize {
        self.state.asked.load(SeqCst)
    }

    /// Answers nobody, until as many are under way as `may` be.
    fn fill(&self, may: usize) {
        self.state.holds.store(true, SeqCst);
        wait_until("as many are under way as may be", || {
            self.state.most.load(SeqCst) == may
        });
        self.state.holds.store(false, SeqCst);
    }

    /// A tpp of four workers before it, whose only host has `keys`.
    fn behind(&self, keys: &str, tables: &str) -> Proxy {
        self.with("", keys, tables)
    }

    /// The same, the backend with keys of its `own`.
    fn with(&self, own: &str, keys: &str, tables: &str) -> Proxy {
        let address = self.address;
        let text = format!(
            "\n[[backends]]\nid = \"one\"\naddress = \"{address}\"\ntags = [\"a\"]\n{own}\n\
             [[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n{keys}\n{tables}"
        );
        let settings = Settings::of_gateway()
            .workers(4)
            .set("health_check.enabled", false)
            .further(&text);
        let proxy = Proxy::start_without_tokens(&settings);
        proxy.wait_until_ready(4);
        proxy
    }
}

fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let number = state.begin(&stream);
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        let gone = loop {
            match reader.read(&mut [0]) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if !state.holds.load(SeqCst) {
                        break false;
                    }
                }
                _ => break true,
            }
        };
        state.end(number);
        if gone {
            return Ok(());
        }
        stream.set_read_timeout(None)?;
        let status = if state.fails.load(SeqCst) {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
    }
}

/// What one request on a connection of its own comes to; `None`: the connection broke.
fn ask(address: SocketAddr) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

/// Asks from `clients` threads while workers are killed, once `server` has seen `may` under way at once; how often each status came.
fn ask_while_workers_die(
    proxy: &Proxy,
    clients: usize,
    (server, may): (&Counting, usize),
) -> [usize; 2] {
    let (stop, counts) = (
        AtomicBool::new(false),
        [(); 2].map(|()| AtomicUsize::new(0)),
    );
    let address = proxy.address();
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    match ask(address) {
                        Some((200, _)) => counts[0].fetch_add(1, SeqCst),
                        Some((429, answer)) => {
                            assert!(answer.contains("\r\nRetry-After: "), "{answer}");
                            counts[1].fetch_add(1, SeqCst)
                        }
                        Some((status, answer)) => panic!("{status}: {answer}"),
                        // Its worker was killed.
                        None => 0,
                    };
                }
            });
        }
        server.fill(may);
        for _ in 0..4 {
            let before = counts[0].load(SeqCst);
            wait_until("it serves", || counts[0].load(SeqCst) > before + 20);
            let victim = proxy.ready_workers()[0].pid;
            processes::send(victim, Signal::SIGKILL);
            wait_until("another is in its place", || {
                let ready = proxy.ready_workers();
                ready.len() == 4 && ready.iter().all(|worker| worker.pid != victim)
            });
        }
        stop.store(true, SeqCst);
    });
    counts.map(AtomicUsize::into_inner)
}

#[test]
fn never_one_more_than_may_be_under_way_although_workers_are_killed() {
    let server = Counting::start();
    let proxy = server.behind("max_concurrent = 5", "");
    let [served, refused] = ask_while_workers_die(&proxy, 32, (&server, 5));
    assert_eq!(server.state.most.load(SeqCst), 5, "{served} served");
    assert!(refused > 0, "{served} served, and nobody refused");
}

#[test]
fn a_backends_own_limit_holds_over_all_workers_although_they_are_killed() {
    let server = Counting::start();
    let proxy = server.with("max_concurrent = 3", "", "");
    let [served, refused] = ask_while_workers_die(&proxy, 24, (&server, 3));
    assert_eq!(server.state.most.load(SeqCst), 3, "{served} served");
    assert!(refused > 0, "{served} served, and nobody refused");
}

#[test]
fn a_hundred_requests_in_a_row_use_few_connections_to_their_backend() {
    let server = Counting::start();
    let proxy = server.behind("", "");
    for _ in 0..100 {
        // A client of its own each time, so that all workers are asked.
        assert_eq!(ask(proxy.address()).expect("an answer").0, 200);
    }
    assert_eq!(server.asked(), 100);
    let connected = server.state.connected.load(SeqCst);
    assert!(connected <= 10, "{connected} connections");
}

#[test]
fn no_more_idle_connections_are_kept_by_all_workers_together_than_is_said() {
    let server = Counting::start();
    let proxy = server.with("max_idle_connections = 4", "", "");
    let address = proxy.address();
    server.state.holds.store(true, SeqCst);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| assert_eq!(ask(address).expect("an answer").0, 200));
        }
        wait_until("all are under way", || server.asked() == 24);
        assert_eq!(server.state.open.load(SeqCst), 24);
        server.state.holds.store(false, SeqCst);
    });
    wait_until("the others are closed", || {
        server.state.open.load(SeqCst) <= 4
    });
    assert!(server.state.open.load(SeqCst) > 0, "some are kept");
}

#[test]
fn in_a_queue_nobody_is_refused_and_never_one_too_many_is_under_way() {
    let server = Counting::start();
    let queue = "max_concurrent = 5\nqueue = { max_waiting = 1000, wait_timeout_seconds = 30 }";
    let proxy = server.behind(queue, "");
    let [_, refused] = ask_while_workers_die(&proxy, 24, (&server, 5));
    assert_eq!((server.state.most.load(SeqCst), refused), (5, 0));
}

#[test]
fn after_three_failures_nobody_reaches_the_server_and_then_one_probe_does() {
    let server = Counting::start();
    let breaker =
        "circuit_breaker = { enabled = true, failure_threshold = 3, recovery_timeout_seconds = 2 }";
    let proxy = server.behind(breaker, "");
    server.state.fails.store(true, SeqCst);
    for _ in 0..3 {
        assert_eq!(ask(proxy.address()).expect("an answer").0, 500);
    }
    for _ in 0..8 {
        let (status, answer) = ask(proxy.address()).expect("an answer");
        assert_eq!(status, 503);
        assert!(
            answer.contains("\r\nX-Circuit-Breaker: open\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
        assert!(
            answer.contains("{\"error\":\"Service Unavailable\""),
            "{answer}"
        );
    }
    assert_eq!(server.asked(), 3);
    // Now one of all who ask is let through, whichever worker they ask.
    server.state.fails.store(false, SeqCst);
    server.state.holds.store(true, SeqCst);
    let statuses = Mutex::new(Vec::new());
    thread::scope(|scope| {
        wait_until("the probe is there", || {
            scope.spawn(|| {
                let status = ask(proxy.address()).expect("an answer").0;
                statuses.lock().expect("no panic").push(status);
            });
            server.asked() == 4
        });
        for _ in 0..16 {
            assert_eq!(ask(proxy.address()).expect("an answer").0, 503);
        }
        assert_eq!(server.asked(), 4, "one probe over all workers");
        server.state.holds.store(false, SeqCst);
    });
    let served = statuses
        .lock()
        .expect("no panic")
        .iter()
        .filter(|status| **status == 200)
        .count();
    assert_eq!(served, 1);
    for _ in 0..8 {
        assert_eq!(ask(proxy.address()).expect("an answer").0, 200);
    }
}

#[test]
fn a_rate_over_four_workers_admits_what_one_bucket_admits() {
    let server = Counting::start();
    let limit = "[[rate_limits]]\nname = \"each\"\nrequests = 100\nper_seconds = 60\nburst = 100\n";
    let proxy = server.behind("rate_limit = \"each\"", limit);
    let begun = Instant::now();
    let (address, refused) = (proxy.address(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    match ask(address).expect("an answer") {
                        (200, _) => {}
                        (429, answer) => {
                            assert!(
                                answer.contains("{\"error\":\"Too Many Requests\""),
                                "{answer}"
                            );
                            refused.fetch_add(1, SeqCst);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let paid_off = begun.elapsed().as_secs_f64() * 100.0 / 60.0;
    let admitted = server.asked();
    assert_eq!(admitted + refused.load(SeqCst), 400);
    let most = 100 + paid_off.ceil() as usize;
    assert!(
        (100..=most).contains(&admitted),
        "{admitted}, at most {most}"
    );
}
