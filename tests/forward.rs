//! Requests and answers pass through as they are, in both directions, but for what a proxy must change.

mod common;

use common::{
    client::Client,
    http::{Head, pattern},
    message::{Answer, Request},
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};
use serde_json::Value;

/// An upstream and a tpp with two tokens in front of it.
fn pair() -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    (upstream, proxy)
}

/// The head of `request` as the upstream got it.
fn head_as_forwarded(proxy: &Proxy, upstream: &Upstream, request: &Request) -> Head {
    let head = proxy.client(upstream).ask(request).ok().json();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let fields = head["fields"].as_array().expect("a list").iter();
    Head {
        line: text(&head["line"]),
        fields: fields
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect(),
    }
}

#[test]
fn the_clients_authorization_is_replaced_by_the_token() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head");
    let request = request
        .field("Authorization", "Basic dXNlcjpwYXNz")
        .field("authorization", "Bearer mine");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    let [bearer] = head.all("authorization")[..] else {
        panic!("{head:?}")
    };
    let token = bearer
        .strip_prefix("Bearer ")
        .expect("a bearer token")
        .to_owned();
    assert!(upstream.tokens().contains(&token));
    upstream.assert_clean();
}

#[test]
fn method_path_query_and_fields_pass_unchanged() {
    let (upstream, proxy) = pair();
    let request =
        Request::new("PATCH", "/head?a=1&b=%20c/../d").field("X-Mixed-CASE", "a, b;c=\"d\"");
    let request = request
        .field("Accept-Encoding", "gzip")
        .field("Cookie", "a=b")
        .field("Cookie", "c=d");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(head.line, "PATCH /head?a=1&b=%20c/../d HTTP/1.1");
    assert_eq!(head.all("host"), ["tpp.test"]);
    assert_eq!(head.all("x-mixed-case"), ["a, b;c=\"d\""]);
    assert_eq!(head.all("accept-encoding"), ["gzip"]);
    assert_eq!(head.all("cookie").join("; "), "a=b; c=d");
}

#[test]
fn who_the_client_is_is_said_and_what_it_claims_is_not() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("X-Forwarded-Proto", "https");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn what_a_trusted_client_claims_is_kept_and_its_address_appended() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("trust_forwarded", true));
    let request = Request::get("/head")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("X-Forwarded-For", "7.7.7.7");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(
        head.all("x-forwarded-for").join(", "),
        "6.6.6.6, 7.7.7.7, 127.0.0.1"
    );
    let head = head_as_forwarded(&proxy, &upstream, &Request::get("/head"));
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn fields_of_one_hop_stay_on_their_hop() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head")
        .field("Connection", "X-Private, keep-alive")
        .field("X-Private", "1");
    let request = request
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Authorization", "Basic x")
        .field("TE", "trailers");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    for name in ["x-private", "keep-alive", "proxy-authorization", "te"] {
        assert_eq!(head.all(name), [""; 0], "{name} reached the upstream");
    }
    let answer = proxy.client(&upstream).get("/hop").ok();
    assert_eq!(answer.head.all("x-end"), ["for the client"]);
    assert_eq!(answer.head.all("x-hop"), [""; 0]);
    assert!(!answer.head.lists("connection", "x-hop"));
    assert!(!answer.head.all("keep-alive").contains(&"timeout=7"));
}

#[test]
fn a_connection_serves_many_requests_of_all_shapes() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    for length in [0, 1, 1000, 65_536, 70_000] {
        let body = pattern(length);
        let chunks: Vec<&[u8]> = body.chunks(4000).collect();
        for request in [
            Request::post("/echo", body.clone()),
            Request::post_chunks("/echo", &chunks),
        ] {
            let answer = client.ask(&request).ok();
            assert!(
                answer.body == body,
                "{} bytes of {length} came back",
                answer.body.len()
            );
        }
        let answer = client.get(&format!("/bytes/{length}")).ok();
        assert!(
            answer.body == body,
            "{} bytes of {length} came",
            answer.body.len()
        );
    }
    assert_eq!(client.get("/status/204").status, 204);
    assert_eq!(client.get("/status/304").status, 304);
    assert_eq!(client.get("/status/418").status, 418);
    assert_eq!(client.get("/status/500").text(), "as you say");
    client.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn a_head_request_has_an_answer_without_a_body() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let answer = client.ask(&Request::new("HEAD", "/bytes/12345")).ok();
    assert_eq!(answer.head.field("content-length"), Some("12345"));
    client.get("/who").ok();
}

#[test]
fn a_client_of_http_1_0_is_served_and_its_connection_closed() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send_raw(b"GET /bytes/3 HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = String::from_utf8(client.read_to_close()).expect("text");
    assert!(
        answer.starts_with("HTTP/1.")
            && answer.contains(" 200 ")
            && answer.ends_with("\r\n\r\nabc"),
        "{answer}"
    );
    drop(client);
    proxy.wait_until_all_is_back(2);
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
fn a_request_goes_on_piece_by_piece() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send_head(&Request::post_chunks("/echo", &[]));
    client.send_raw(b"5\r\nfirst\r\n");
    assert_eq!(client.read_any_head().expect("an answer").0, 200);
    assert_eq!(client.read_raw(10), b"5\r\nfirst\r\n");
    client.send_raw(b"6\r\nsecond\r\n");
    assert_eq!(client.read_raw(11), b"6\r\nsecond\r\n");
    client.send_raw(b"0\r\n\r\n");
    assert_eq!(client.read_raw(5), b"0\r\n\r\n");
    client.get("/who").ok();
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
        let peak = common::processes::memory_kib(worker.pid, "VmHWM");
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
    assert_eq!(client.read_answer().ok().json()["length"], 5);
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

#[test]
fn an_upstream_that_closes_after_each_answer_does_not_close_the_client() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    for _ in 0..3 {
        assert_eq!(client.get("/close").ok().text(), "goodbye");
        assert_eq!(client.get("/until-close").ok().text(), "until the end");
    }
    client.get("/who").ok();
    wait_until("one connection serves on", || upstream.connections() <= 1);
    upstream.assert_clean();
}
