//! Bodies stream in both directions, of any size, and whatever else needs both at once works.

use crate::common::{
    client::Client,
    http::pattern,
    message::{Answer, Request},
    processes,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
};

/// An upstream and a tpp with two tokens in front of it.
fn pair() -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    (upstream, proxy)
}

#[test]
fn an_answer_comes_piece_by_piece() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/steps/s/4"));
    assert_eq!(client.read_any_head().expect("an answer").0, 200);
    for step in 0..4 {
        // Had the proxy gathered the pieces, this would wait for ever: the next gate is shut.
        assert_eq!(
            client.read_raw(12),
            format!("7\r\nstep {step};\r\n").into_bytes()
        );
        upstream.gates().open(&format!("s-{}", step + 1));
    }
    assert_eq!(client.read_raw(5), b"0\r\n\r\n");
    client.get("/who").ok();
}

#[test]
fn a_request_whose_client_waits_to_be_told_goes_on_piece_by_piece() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send_head(&Request::post_chunks("/echo", &[]).field("Expect", "100-continue"));
    assert_eq!(client.read_any_head().expect("an interim answer").0, 100);
    client.send_raw(b"5\r\nfirst\r\n");
    let (status, head) = client.read_any_head().expect("an answer");
    assert_eq!(status, 200);
    assert_eq!(client.read_raw(10), b"5\r\nfirst\r\n");
    client.send_raw(b"6\r\nsecond\r\n");
    assert_eq!(client.read_raw(11), b"6\r\nsecond\r\n");
    client.send_raw(b"0\r\n\r\n");
    assert_eq!(client.read_raw(5), b"0\r\n\r\n");
    // An answer that begins before its request has ended may say that it is the connection's last.
    if head.lists("connection", "close") {
        assert_eq!(client.read_to_close(), b"");
    } else {
        client.get("/who").ok();
    }
}

#[test]
fn a_body_beyond_64_kib_goes_on_piece_by_piece_once_so_much_is_in() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let (first, second) = (pattern(64 << 10), pattern(1000));
    let whole = [first.clone(), second.clone(), second.clone()].concat();
    client.send_head(&Request::post("/echo", whole));
    // No token is lent for it before.
    client.send_raw(&first[1..]);
    assert_eq!(proxy.pool().in_use, 0);
    client.send_raw(&first[..1]);
    let (status, _) = client.read_any_head().expect("an answer");
    assert_eq!(status, 200);
    assert!(client.read_raw(first.len()) == [&first[1..], &first[..1]].concat());
    for _ in 0..2 {
        // The rest does not wait for its end.
        client.send_raw(&second);
        assert!(client.read_raw(second.len()) == second);
    }
    upstream.assert_clean();
}

#[test]
fn a_short_body_comes_whole_before_a_token_is_lent_for_it() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send_head(&Request::post_chunks("/echo", &[]));
    client.send_raw(b"5\r\nfirst\r\n");
    // Others come and go meanwhile: it is not that the first has not been looked at yet.
    for _ in 0..10 {
        proxy.client(&upstream).get("/who").ok();
    }
    assert!(client.is_idle());
    assert_eq!(upstream.seen().len(), 10);
    client.send_raw(b"6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(client.read_answer().ok().body, b"firstsecond");
    client.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn fifty_megabytes_pass_in_both_directions() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let answer = client.get("/bytes/50000000").ok();
    assert!(
        answer.body == pattern(50_000_000),
        "{} bytes came",
        answer.body.len()
    );
    let body = vec![3; 50_000_000];
    let answer = client.ask(&Request::post("/sum", body)).ok().json();
    assert_eq!(
        (answer["length"].as_u64(), answer["sum"].as_u64()),
        (Some(50_000_000), Some(150_000_000))
    );
    for worker in proxy.workers() {
        let peak = processes::memory_kib(worker.pid, "VmHWM");
        assert!(peak < 100 << 10, "a worker's memory went up to {peak} KiB");
    }
}

#[test]
fn who_asks_before_sending_a_body_is_told_to_go_on() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let request = Request::post("/sum", b"hello".to_vec()).field("Expect", "100-continue");
    client.send_head(&request);
    assert_eq!(client.read_any_head().expect("an interim answer").0, 100);
    client.send_raw(b"hello");
    let answer = client.read_answer().ok();
    assert_eq!(answer.json()["length"], 5);
    assert!(!answer.closes(), "{:?}", answer.head);
    client.get("/who").ok();
}

#[test]
fn who_asks_before_sending_a_body_may_be_told_no() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let request = Request::post("/early", pattern(1_000_000)).field("Expect", "100-continue");
    client.send_head(&request);
    assert_eq!(client.read_answer().status, 413);
    drop(client);
    proxy.wait_until_all_is_back(2);
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let targets = ["/delay/30", "/who", "/bytes/2000", "/delay/5", "/who"];
    let all: Vec<u8> = targets
        .iter()
        .flat_map(|target| client.bytes_of(&Request::get(target)))
        .collect();
    client.send_raw(&all);
    let answers: Vec<Answer> = targets.iter().map(|_| client.read_answer().ok()).collect();
    let sequence: Vec<_> = [0, 1, 3, 4]
        .iter()
        .map(|&place| answers[place].json()["seq"].as_u64())
        .collect();
    assert_eq!(sequence, [Some(1), Some(2), Some(4), Some(5)]);
    assert_eq!(answers[2].body.len(), 2000);
    upstream.assert_clean();
}

#[test]
fn a_websocket_passes_and_holds_its_token_until_it_ends() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    upgrade(&mut client);
    for message in [
        b"\x81\x05hello".as_slice(),
        b"\x82\x02\xff\x00",
        &pattern(100_000),
    ] {
        client.send_raw(message);
        assert!(client.read_raw(message.len()) == message);
    }
    assert_eq!(proxy.pool().in_use, 1);
    drop(client);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn an_idle_websocket_is_not_cut() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let settings = settings
        .set("lease.idle_timeout_seconds", 1)
        .set("upstream.response_header_timeout_seconds", 1);
    let proxy = Proxy::start(&settings);
    let mut socket = proxy.client(&upstream);
    upgrade(&mut socket);
    // Two plain connections that come to the limit one after the other show that its time has passed twice.
    for _ in 0..2 {
        let mut idle = proxy.client(&upstream);
        idle.get("/who").ok();
        idle.read_to_close();
    }
    socket.send_raw(b"still here");
    assert_eq!(socket.read_raw(10), b"still here");
}

fn upgrade(client: &mut Client) {
    let request = Request::get("/websocket")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    let request = request
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13");
    client.send(&request);
    let (status, head) = client.read_any_head().expect("an answer");
    assert_eq!(
        (status, head.field("upgrade")),
        (101, Some("websocket")),
        "{head:?}"
    );
}
