//! Leases, and waiting for one.

use std::time::Duration;

use tpp::config::LeaseMode;

use super::support::{Act, Bench, Upstream, eventually, ok, settings};

#[tokio::test]
async fn a_connection_keeps_its_slot_and_no_other_has_it() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(2, &[upstream.address], &settings());
    let (mut first, mut second) = (bench.connect().await, bench.connect().await);
    let (one, other) = (first.get("/").await.body, second.get("/").await.body);
    assert_ne!(one, other);
    for _ in 0..5 {
        assert_eq!(first.get("/").await.body, one);
        assert_eq!(second.post("/", "x").await.body, other);
    }
    assert_eq!(bench.census().in_use, 2);
    drop((first, second));
    bench.all_is_given_back().await;
    assert_eq!(bench.totals().requests, 12);
}

#[tokio::test]
async fn a_connection_that_waits_is_served_when_another_ends() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut holder = bench.connect().await;
    holder.get("/").await;
    let mut waiter = bench.connect().await;
    waiter.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").await;
    eventually(|| bench.census().waiting == 1, "one waits").await;
    drop(holder);
    assert_eq!(waiter.answer().await.status, 200);
    assert_eq!(upstream.seen()[1].body, b"ab");
}

#[tokio::test]
async fn a_lease_of_a_request_ends_with_it() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.lease_mode = LeaseMode::Request;
    let bench = Bench::new(1, &[upstream.address], &settings);
    let (mut first, mut second) = (bench.connect().await, bench.connect().await);
    for _ in 0..3 {
        assert_eq!(first.get("/").await.status, 200);
        assert_eq!(second.get("/").await.status, 200);
    }
    eventually(|| bench.census().in_use == 0, "the slot is free between requests").await;
    assert_eq!(bench.totals().acquisitions, 6);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_leaves_the_line() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut holder = bench.connect().await;
    holder.get("/").await;
    for body in ["", "ab"] {
        let mut waiter = bench.connect().await;
        waiter.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{body}")).await;
        eventually(|| bench.census().waiting == 1, "one waits").await;
        drop(waiter);
        eventually(|| bench.census().waiting == 0, "nobody waits").await;
    }
    assert_eq!(bench.totals().clients_left, 2);
    assert_eq!(upstream.seen().len(), 1);
    drop(holder);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn what_a_client_sends_while_it_waits_is_not_lost() {
    let upstream = Upstream::scripted(|seen| ok(&seen.body.len().to_string())).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut holder = bench.connect().await;
    holder.get("/").await;
    let mut waiter = bench.connect().await;
    waiter.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await;
    eventually(|| bench.census().waiting == 1, "one waits").await;
    waiter.send("x".repeat(200_000)).await;
    waiter.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(holder);
    assert_eq!(waiter.answer().await.body, "200000");
    assert_eq!(waiter.answer().await.body, "0");
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_again() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.wait_timeout = Some(Duration::from_millis(50));
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut holder = bench.connect().await;
    holder.get("/").await;
    let mut waiter = bench.connect().await;
    let answer = waiter.get("/").await;
    answer.assert_own(503);
    assert_eq!(answer.field("Retry-After"), Some("1"));
    assert_eq!(bench.totals().queue_timeouts, 1);
    drop(holder);
    eventually(|| bench.census().in_use == 0, "the slot is free").await;
    assert_eq!(waiter.get("/").await.status, 200, "the same connection may ask again");
}

#[tokio::test]
async fn who_finds_the_line_full_is_told_at_once() {
    let upstream = Upstream::echo().await;
    let mut settings = settings();
    settings.max_waiting = Some(1);
    let bench = Bench::new(1, &[upstream.address], &settings);
    let mut holder = bench.connect().await;
    holder.get("/").await;
    let mut waiter = bench.connect().await;
    waiter.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| bench.census().waiting == 1, "one waits").await;
    bench.connect().await.get("/").await.assert_own(503);
    assert_eq!(bench.totals().queue_rejections, 1);
}

#[tokio::test]
async fn a_lease_ends_with_its_connection_however_that_ends() {
    let upstream = Upstream::scripted(|_| Act::Hang).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    for body in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"] {
        let mut client = bench.connect().await;
        client.send(body).await;
        eventually(|| bench.census().in_use == 1, "it holds the slot").await;
        reset_on_close(&client.stream);
        drop(client);
        bench.all_is_given_back().await;
    }
}

/// Makes the close a reset.
fn reset_on_close(stream: &tokio::net::TcpStream) {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &at_once).unwrap();
}
