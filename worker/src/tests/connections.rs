//! How connections end: by their bounds, and when the worker drains.

use std::time::Duration;

use tokio::time::timeout;

use super::support::{Act, Bench, Upstream, eventually, ok, settings};

#[tokio::test]
async fn an_idle_connection_is_closed_and_its_slot_free() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.idle_timeout = Some(Duration::from_millis(100));
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut client = bench.connect().await;
    assert_eq!(client.get("/").await.status, 200);
    assert!(client.is_at_end().await);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn a_slot_held_too_long_is_given_back_after_the_answer_in_hand() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.max_hold = Some(Duration::ZERO);
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut client = bench.connect().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    assert!(client.is_at_end().await);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_told() {
    let upstream = Upstream::scripted(|_| Act::Hang).await;
    let mut settings = settings();
    settings.response_header_timeout = Some(Duration::from_millis(100));
    let bench = Bench::new(1, &[upstream.address], &settings);
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"] {
        let mut client = bench.connect().await;
        client.send(request).await;
        client.answer().await.assert_own(504);
        assert!(client.is_at_end().await);
    }
    bench.all_is_given_back().await;
    assert_eq!(bench.totals().request_errors, 2);
}

#[tokio::test]
async fn a_slow_upload_is_not_held_against_the_upstream() {
    let upstream = Upstream::scripted(|seen| ok(&seen.body.len().to_string())).await;
    let mut settings = settings();
    settings.response_header_timeout = Some(Duration::from_millis(200));
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut client = bench.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.body, "4");
}

#[tokio::test]
async fn a_draining_worker_serves_an_idle_connection_once_more() {
    let upstream = Upstream::echo().await;
    let mut bench = Bench::new(2, &[upstream.address], &settings());
    let (mut idle, mut unused) = (bench.connect().await, bench.connect().await);
    assert_eq!(idle.get("/").await.field("Connection"), Some("keep-alive"));
    eventually(|| bench.totals().connections_opened == 2, "both are accepted").await;
    let (address, totals) = (bench.address, bench.totals());
    let clients = async {
        // Nobody accepts any more; what is open goes on.
        eventually(|| std::net::TcpStream::connect(address).is_err(), "the port is closed").await;
        for client in [&mut idle, &mut unused] {
            let answer = client.get("/").await;
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
        }
    };
    tokio::join!(bench.process.drain(), clients);
    bench.all_is_given_back().await;
    assert_eq!(bench.totals().drain_cut, totals.drain_cut);
}

#[tokio::test]
async fn an_answer_under_way_when_draining_begins_is_the_last() {
    let upstream = Upstream::scripted(|_| Act::Hang).await;
    let second = Upstream::echo().await;
    let mut settings = settings();
    settings.drain_timeout = Duration::from_millis(300);
    let mut bench = Bench::new(1, &[upstream.address], &settings);
    drop(second);
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| upstream.seen().len() == 1, "it is sent").await;
    timeout(Duration::from_secs(10), bench.process.drain()).await.expect("a drain ends");
    client.answer().await.assert_own(503);
    bench.all_is_given_back().await;
    assert_eq!(bench.totals().drain_cut, 1);
}
