//! Who holds a slot, from when to when.

use bytes::BytesMut;
use std::time::Duration;

use pingora_core::protocols::l4::stream::Stream as TcpLayer;
use tpp::{config::LeaseMode, pool::SlotIndex};

use super::play::{ORIGIN, Stage, until};
use crate::door::connection;

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const BRIEF: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_connection_keeps_its_slot_and_its_token_over_all_requests() {
    let stage = Stage::new(2, |_| {}).await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    assert_eq!(
        head,
        "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: a\r\nVia: 1.1 tpp\r\nAuthorization: Bearer token-0-1\r\n\r\n"
    );
    upstream
        .send("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(
        client.head().await,
        "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n"
    );
    for _ in 0..3 {
        assert_eq!(stage.exchange(&mut client, &mut upstream, GET).await, head);
    }
    assert_eq!(stage.census().in_use, 1);
    stage
        .stock
        .install(SlotIndex::new(0), b"token-0-2", ORIGIN)
        .unwrap();
    let head = stage.exchange(&mut client, &mut upstream, GET).await;
    assert!(head.contains("Bearer token-0-2\r\n"), "{head}");
    drop(client);
    stage.in_use(0).await;
    let totals = stage.stock.totals();
    assert_eq!(
        (totals.acquisitions, totals.releases, totals.requests),
        (1, 1, 5)
    );
}

#[tokio::test]
async fn connections_at_one_time_hold_different_slots() {
    let stage = Stage::new(2, |_| {}).await;
    let (mut one, mut two) = (stage.client().await, stage.client().await);
    one.send(GET).await;
    let mut upstream_one = stage.upstream().await;
    assert!(upstream_one.head().await.contains("token-0-1"));
    two.send(GET).await;
    assert!(stage.upstream().await.head().await.contains("token-1-1"));
}

#[tokio::test]
async fn a_connection_without_a_request_takes_no_slot() {
    let stage = Stage::new(1, |_| {}).await;
    let _idle = stage.client().await;
    let mut client = stage.client().await;
    client.send(GET).await;
    assert!(stage.upstream().await.head().await.contains("token-0-1"));
}

#[tokio::test]
async fn who_waits_is_served_in_order_once_a_slot_is_free() {
    let stage = Stage::new(1, |_| {}).await;
    let mut holder = stage.client().await;
    holder.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    holder.head().await;
    let (mut first, mut second) = (stage.client().await, stage.client().await);
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stage.waiting(1).await;
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stage.waiting(2).await;
    drop(holder);
    assert!(upstream.head().await.starts_with("GET /first "));
    stage.waiting(1).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    first.head().await;
    drop(first);
    assert!(upstream.head().await.starts_with("GET /second "));
    assert_eq!(
        stage
            .stock
            .totals()
            .acquisition_wait
            .buckets
            .iter()
            .sum::<u64>(),
        3
    );
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_leaves_the_line() {
    let stage = Stage::new(1, |_| {}).await;
    let mut holder = stage.client().await;
    holder.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome body";
    let large = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{}",
        "x".repeat(40000)
    );
    let unsent = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let mut left = 0;
    for request in [GET, body, &large, unsent] {
        for leave in 0..3 {
            let mut client = stage.client().await;
            client.send(request).await;
            stage.waiting(1).await;
            match leave {
                0 => drop(client),
                1 => client.reset(),
                _ => {
                    client.finish().await;
                    assert_eq!(client.rest().await, "");
                }
            }
            stage.waiting(0).await;
            left += 1;
        }
    }
    assert_eq!(stage.stock.totals().clients_left, left);
    holder.reset();
    stage.in_use(0).await;
}

#[tokio::test]
async fn a_request_sent_while_it_waits_arrives_whole() {
    let stage = Stage::new(1, |_| {}).await;
    let mut holder = stage.client().await;
    holder.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    let mut client = stage.client().await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n",
        )
        .await;
    stage.waiting(1).await;
    let body = "0123456789".repeat(20000);
    let (sent, ()) = tokio::join!(client.send(&body), async { holder.reset() });
    let () = sent;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    assert_eq!(upstream.exactly(200_000).await, body);
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_again() {
    let stage = Stage::new(0, |settings| settings.lease.wait_timeout = Some(BRIEF)).await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    assert!(
        head.contains("\r\nContent-Type: application/json\r\n"),
        "{head}"
    );
    assert!(!head.contains("Connection: close"), "{head}");
    assert_eq!(
        client.through("}").await,
        "{\"error\":\"no token available\",\"details\":\"none came free in time\"}"
    );
    assert_eq!(
        (
            stage.worker.desk.waiting(),
            stage.stock.totals().queue_timeouts
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn when_too_many_wait_the_next_is_turned_away_at_once() {
    let stage = Stage::new(0, |settings| settings.lease.max_waiting = Some(1)).await;
    let (mut waits, mut turned_away) = (stage.client().await, stage.client().await);
    waits.send(GET).await;
    stage.waiting(1).await;
    turned_away
        .send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    let answer = turned_away.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nConnection: close\r\n"),
        "{answer}"
    );
    assert_eq!(stage.worker.desk.waiting(), 1);
}

#[tokio::test]
async fn an_idle_connection_gives_its_slot_back() {
    let stage = Stage::new(1, |settings| settings.lease.idle_timeout = Some(BRIEF)).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.rest().await, "");
    stage.in_use(0).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let stage = Stage::new(1, |settings| settings.lease.idle_timeout = Some(BRIEF)).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    assert_eq!(stage.stock.totals().acquisitions, 0);
}

#[tokio::test]
async fn a_slot_held_too_long_is_given_back_after_the_answer_in_hand() {
    let stage = Stage::new(1, |settings| settings.lease.max_hold = Some(BRIEF)).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    let begun = stage.worker.clock.now();
    until("the hold is over", || {
        stage.worker.clock.now() > begun + 300
    })
    .await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let answer = client.rest().await;
    assert!(
        answer.contains("\r\nConnection: close\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
    stage.in_use(0).await;
}

#[tokio::test]
async fn in_request_mode_each_request_leases_anew() {
    let stage = Stage::new(1, |settings| settings.lease.mode = LeaseMode::Request).await;
    let (mut one, mut two) = (stage.client().await, stage.client().await);
    one.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    one.head().await;
    stage.in_use(0).await;
    stage.exchange(&mut two, &mut upstream, GET).await;
    stage.exchange(&mut one, &mut upstream, GET).await;
    assert_eq!(stage.stock.totals().acquisitions, 3);
}

#[tokio::test]
async fn a_draining_worker_serves_an_idle_connection_once_more() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    stage.worker.drain();
    client.send(GET).await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let answer = client.rest().await;
    assert!(
        answer.contains("\r\nConnection: close\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
    super::play::soon("the worker is empty", stage.worker.empty()).await;
}

#[tokio::test]
async fn when_the_time_to_drain_is_over_nothing_is_left() {
    let stage = Stage::new(1, |_| {}).await;
    let (mut idle, mut served, mut waits) = (
        stage.client().await,
        stage.client().await,
        stage.client().await,
    );
    served.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    waits.send(GET).await;
    stage.waiting(1).await;
    stage.worker.drain();
    stage.worker.cut();
    assert_eq!(idle.rest().await, "");
    assert!(served.rest().await.starts_with("HTTP/1.1 503 "));
    assert!(waits.rest().await.starts_with("HTTP/1.1 503 "));
    super::play::soon("the worker is empty", stage.worker.empty()).await;
    assert_eq!(
        (stage.census().in_use, stage.stock.totals().drain_cut),
        (0, 3)
    );
}
#[tokio::test]
async fn a_crowd_is_shared_out_over_the_workers() {
    let mut stage = Stage::new(0, |_| {}).await;
    let second = stage.second_worker();
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(stage.client().await);
    }
    let shares = || [stage.worker.connections(), second.connections()];
    until("all are accepted", || shares().iter().sum::<usize>() == 40).await;
    assert!(shares().iter().all(|&share| share >= 10), "{:?}", shares());
}

#[tokio::test]
async fn an_idle_connection_is_a_small_task() {
    let stage = Stage::new(1, |_| {}).await;
    let tcp = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let task = connection::serve(
        &stage.worker,
        Box::new(TcpLayer::from(tcp)),
        BytesMut::new(),
    );
    let bytes = std::mem::size_of_val(&task);
    assert!(bytes < 4096, "{bytes} bytes for each connection");
}

#[tokio::test]
async fn who_asks_to_close_and_sends_no_more_is_not_waited_for() {
    let stage = Stage::new(1, |_| {}).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsaid";
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    let more = format!("{get}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // What it sends behind a body, or a last request, would reset the connection under the answer.
    for (request, is_waited_for) in [(get, 0), (old, 0), (post, 1), (more.as_str(), 1)] {
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, request).await;
        upstream.send(answer).await;
        let said = client.rest().await;
        assert!(said.ends_with("said"), "{request}: {said}");
        // The end was all that the worker had to do: it is through with it before anybody can have seen it.
        assert_eq!(stage.worker.connections(), is_waited_for, "{request}");
        assert_eq!(stage.census().in_use, 0, "{request}");
        drop(client);
        until("the last one is gone", || stage.worker.connections() == 0).await;
    }
}
