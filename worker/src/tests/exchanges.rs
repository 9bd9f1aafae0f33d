//! What passes through, and how it is changed on the way.

use super::support::{Act, Bench, Upstream, eventually, ok, settings};

#[tokio::test]
async fn the_clients_authorization_is_replaced_by_the_slots_token() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nauthorization: Basic x\r\nAuthorization: Bearer y\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "Bearer first-0"));
    let seen = &upstream.seen()[0];
    assert_eq!(seen.head.to_lowercase().matches("authorization:").count(), 1, "{seen:?}");
}

#[tokio::test]
async fn the_upstream_learns_for_whom_a_request_is_made() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n").await;
    client.answer().await;
    let seen = &upstream.seen()[0];
    assert_eq!(seen.field("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.field("X-Forwarded-Proto"), Some("http"));
}

#[tokio::test]
async fn a_trusted_client_may_say_for_whom_it_speaks() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.trust_forwarded = true;
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n\r\n").await;
    client.answer().await;
    let seen = &upstream.seen()[0];
    assert_eq!(seen.field("X-Forwarded-For"), Some("6.6.6.6, 7.7.7.7, 127.0.0.1"));
    assert_eq!(seen.field("X-Forwarded-Proto"), Some("https"));
}

#[tokio::test]
async fn bodies_pass_in_both_directions_whatever_their_frame() {
    let upstream = Upstream::scripted(|seen| match seen.path() {
        "/chunks" => Act::Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()),
        "/close" => Act::SayAndClose(b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec()),
        _ => ok(&String::from_utf8_lossy(&seen.body)),
    })
    .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    let long = "x".repeat(300_000);
    assert_eq!(client.post("/", &long).await.body, long);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.body, "abc");
    assert_eq!(client.get("/chunks").await.body, "abc");
    assert_eq!(client.get("/close").await.body, "until the end");
    assert_eq!(client.post("/", "").await.body, "");
    assert_eq!(bench.totals().acquisitions, 1, "one lease for one connection");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::scripted(|seen| ok(seen.path())).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    let requests: String = (0..5).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests).await;
    for n in 0..5 {
        assert_eq!(client.answer().await.body, format!("/{n}"));
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let upstream = Upstream::scripted(|_| {
        Act::Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec())
    })
    .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.body, "abc", "{answer:?}");
    assert_eq!(upstream.seen()[0].field("Host"), Some("upstream.example:8848"));
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn an_absolute_target_reaches_the_upstream_as_a_path() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.seen()[0].path(), "/b?c");
}

#[tokio::test]
async fn an_expectation_is_met_by_the_upstream() {
    let upstream = Upstream::scripted(|seen| {
        let mut bytes = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        bytes.extend(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).bytes());
        Act::Say(bytes)
    })
    .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab").await;
    assert_eq!(client.answer().await.status, 100);
    assert_eq!(client.answer().await.body, "ab");
}

#[tokio::test]
async fn a_websocket_passes() {
    let upstream = Upstream::scripted(|_| {
        Act::Say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello".to_vec())
    })
    .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Upgrade"), answer.field("Connection")), (101, Some("websocket"), Some("Upgrade")));
    assert_eq!(upstream.seen()[0].field("Authorization"), Some("Bearer first-0"));
    assert_eq!(bench.census().in_use, 1);
    drop(client);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let upstream =
        Upstream::scripted(|seen| match seen.head.starts_with("HEAD") {
            true => Act::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()),
            false => ok("hello"),
        })
        .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer_to_head().await;
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("5")));
    assert_eq!(client.get("/").await.body, "hello");
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_in_json_and_the_connection_goes_on() {
    let upstream = Upstream::scripted(|seen| match seen.path() {
        "/close" => Act::SayAndClose(Vec::new()),
        "/garbage" => Act::SayAndClose(b"garbage\r\n\r\n".to_vec()),
        _ => ok("fine"),
    })
    .await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.post("/close", "x").await.assert_own(502);
    client.post("/garbage", "x").await.assert_own(502);
    assert_eq!(client.get("/").await.body, "fine");
    assert_eq!(bench.totals().request_errors, 2);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_and_reported() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[nobody], &settings());
    let mut client = bench.connect().await;
    client.get("/").await.assert_own(502);
    bench.stock.publish_upstream(&[]).unwrap();
    let unresolved = async {
        while !client.get("/").await.body.contains("resolve") {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), unresolved).await.expect("a reload is followed");
    // Of two addresses the one that answers is found, with a request that may not be sent twice.
    bench.stock.publish_upstream(&[nobody, upstream.address]).unwrap();
    eventually(|| true, "").await;
    let mut served = 0;
    while served < 4 {
        served += u32::from(client.post("/", "x").await.status == 200);
    }
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_not_mistaken_for_a_whole_one() {
    let upstream =
        Upstream::scripted(|_| Act::SayAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec())).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut bytes = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\nabc"), "{text}");
    bench.all_is_given_back().await;
}
