//! Clients that speak HTTP/2 to real workers: what they are answered, whose token they get, and that they notice nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use http::Method;
use nix::sys::signal::Signal;

use crate::common::{
    client::{Client, next_conn},
    message::Request,
    patience, processes,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};
use crate::speaks::{Http2, is_for_another_connection, join_all, runtime};

/// tpp with so many tokens, an address where HTTP/2 may be spoken, and `further` configuration.
fn start(tokens: usize, further: &str) -> (Upstream, Proxy, SocketAddr) {
    let upstream = Upstream::start();
    upstream.oracle().allow_a_lease_per_request();
    upstream.oracle().watch_service();
    let listener = format!("\n[[listeners]]\naddress = \"127.0.0.2:0\"\n{further}");
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, tokens)
        .further(&listener);
    let proxy = Proxy::start(&settings);
    let address = proxy.status().listen[1].parse().expect("an address");
    (upstream, proxy, address)
}

#[test]
fn either_protocol_gets_the_same_answers() {
    let (upstream, proxy, address) = start(2, "");
    let paths = [
        "/who",
        "/bytes/1000000",
        "/chunks/300000",
        "/status/204",
        "/status/304",
        "/status/404",
        "/status/503",
        "/refuse-once",
    ];
    let old: Vec<_> = paths
        .map(|path| {
            // The port is for both.
            let mut client = Client::connect(address);
            let answer = client.get(path);
            (answer.status, answer.body.len())
        })
        .into();
    let new = runtime().block_on(async {
        let client = Http2::connect(address).await;
        let mut answers = Vec::new();
        for (number, path) in (1001..).zip(paths) {
            let answer = client.get(path, number).await.expect(path);
            answers.push((answer.head.status().as_u16(), answer.body.len()));
        }
        let head = Http2::request(Method::HEAD, "/bytes/7", 2001);
        let head = client.ask(head, None).await.expect("HEAD");
        assert_eq!(head.head.headers()["content-length"], "7");
        let sum = Http2::request(Method::POST, "/sum", 2002);
        let sum = client.ask(sum, Some(vec![b'x'; 3 << 20])).await;
        let sum = String::from_utf8(sum.expect("POST").body).expect("text");
        assert!(sum.contains("3145728"), "{sum}");
        answers
    });
    for ((path, old), new) in paths.iter().zip(&old).zip(&new) {
        assert_eq!(old.0, new.0, "{path}");
        // Two of them tell who asked.
        let tells = matches!(*path, "/who" | "/refuse-once");
        assert!(tells || old.1 == new.1, "{path}: {old:?} {new:?}");
    }
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn many_streams_over_few_tokens_never_share_one() {
    let (upstream, proxy, address) = start(4, "");
    runtime().block_on(async {
        let client = Arc::new(Http2::connect(address).await);
        let mut streams = tokio::task::JoinSet::new();
        for number in 1..=64 {
            let client = Arc::clone(&client);
            streams.spawn(async move {
                for turn in 0..3 {
                    let conn = number + 64 * turn;
                    let answer = client.get("/delay/3", conn).await.expect("an answer");
                    assert_eq!(answer.head.status(), 200);
                }
            });
        }
        while let Some(ended) = streams.join_next().await {
            ended.expect("a stream's answers");
        }
    });
    assert!(upstream.oracle().take_overlaps().is_empty());
    proxy.wait_until_all_is_back(4);
    upstream.assert_clean();
}

#[test]
fn one_lease_a_connection_keeps_one_account() {
    let (upstream, proxy, address) = start(3, "[http2]\nlease = \"connection\"\n");
    runtime().block_on(async {
        let client = Http2::connect(address).await;
        let mut accounts = std::collections::HashSet::new();
        for number in 1..=10 {
            let answer = client.get("/who", number).await.expect("an answer");
            let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            accounts.insert(said["user"].to_string());
        }
        assert_eq!(accounts.len(), 1, "{accounts:?}");
        assert_eq!(proxy.pool().in_use, 1, "it is kept between requests");
        drop(client);
    });
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn workers_are_replaced_and_no_request_fails() {
    let (upstream, proxy, address) = start(4, "");
    let load = Load::begin(address, Lost::Never);
    for round in 1..=2 {
        let before: Vec<_> = proxy.workers().iter().map(|worker| worker.pid).collect();
        load.goes_on();
        proxy.signal_supervisor(Signal::SIGUSR1);
        wait_until(&format!("round {round}: others are at work"), || {
            let now = proxy.ready_workers();
            now.len() == 2 && now.iter().all(|worker| !before.contains(&worker.pid))
        });
    }
    load.end();
    proxy.wait_until_all_is_back(4);
    upstream.assert_clean();
}

#[test]
fn killed_workers_give_back_what_their_streams_held() {
    let (upstream, proxy, address) = start(4, "");
    let load = Load::begin(address, Lost::WithItsWorker);
    for round in 1..=3 {
        load.goes_on();
        let doomed = proxy.ready_workers()[0].pid;
        processes::send(doomed, Signal::SIGKILL);
        wait_until(&format!("round {round}: it is replaced"), || {
            let now = proxy.ready_workers();
            now.len() == 2 && now.iter().all(|worker| worker.pid != doomed)
        });
    }
    load.end();
    proxy.wait_until_all_is_back(4);
    // What a worker had asked for when it was killed, nobody knows: it may still be at work.
    drop(upstream.oracle().take_overlaps());
    upstream.assert_clean();
}

#[test]
fn streams_and_connections_stand_in_one_line_in_order_of_arrival() {
    let (upstream, proxy, address) = start(1, "");
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    let order = runtime().block_on(async {
        let clients = [
            Arc::new(Http2::connect(address).await),
            Arc::new(Http2::connect(address).await),
        ];
        let mut streams = tokio::task::JoinSet::new();
        let mut connections = Vec::new();
        let mut order = vec![holder.id()];
        for place in 1..=9 {
            if place % 3 == 0 {
                let mut client = proxy.client(&upstream);
                client.send(&Request::get("/who"));
                order.push(client.id());
                connections.push(client);
            } else {
                let (client, conn) = (Arc::clone(&clients[place % 3 - 1]), next_conn());
                order.push(conn);
                streams.spawn(async move { client.get("/who", conn).await });
            }
            let deadline = Instant::now() + patience();
            while proxy.pool().waiting != place as u64 {
                assert!(Instant::now() < deadline, "number {place} does not wait");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        drop(holder);
        // Those of connections keep what they are lent until they end.
        let turns = tokio::task::spawn_blocking(move || {
            for mut client in connections {
                client.read_answer().ok();
            }
        });
        while let Some(answer) = streams.join_next().await {
            let answer = answer.expect("a stream's answer").expect("an answer");
            assert_eq!(answer.head.status(), 200);
        }
        turns.await.expect("the others' answers");
        order
    });
    let seen: Vec<_> = upstream.seen().iter().map(|seen| seen.conn).collect();
    assert_eq!(seen, order);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

/// When a request of a load may fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Never,
    /// Where its connection broke: its worker was killed.
    WithItsWorker,
}

/// Requests, one after another, until it is ended.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn begin(address: SocketAddr, lost: Lost) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let (stops, counts) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            runtime().block_on(ask_on(address, &stops, &counts, lost));
        });
        Self { stop, done, thread }
    }

    /// Waits until some more were answered.
    fn goes_on(&self) {
        let served = self.done.load(SeqCst);
        wait_until("requests go on", || self.done.load(SeqCst) > served + 50);
    }

    /// Ends it; all was answered as it should be.
    fn end(self) {
        self.stop.store(true, SeqCst);
        self.thread.join().expect("no request failed");
    }
}

/// Eight at a time, on a new connection whenever the old one says that it ends, or where it may be lost.
async fn ask_on(address: SocketAddr, stop: &AtomicBool, done: &AtomicU64, lost: Lost) {
    let mut conn = 0;
    while !stop.load(SeqCst) {
        let client = Http2::connect(address).await;
        let mut may_go_on = true;
        while may_go_on && !stop.load(SeqCst) {
            let first = conn + 1;
            conn += 8;
            let asked = (first..=conn).map(|conn| client.get("/delay/1", conn));
            for answer in join_all(asked.collect()).await {
                match answer {
                    Ok(answer) => assert_eq!(answer.head.status(), 200),
                    Err(error)
                        if lost == Lost::WithItsWorker || is_for_another_connection(&error) =>
                    {
                        may_go_on = false;
                    }
                    Err(error) => panic!("{error}"),
                }
                done.fetch_add(1, SeqCst);
            }
        }
    }
}

#[test]
fn a_port_without_http2_says_so_in_http1() {
    let (_upstream, proxy, _) = start(1, "");
    let mut client = Client::connect(proxy.address());
    client.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let answer = client.read_answer();
    assert!(matches!(answer.status, 400 | 505), "{answer:?}");
    let mut client = Client::connect(proxy.address());
    client.ask(&Request::get("/who")).ok();
}
