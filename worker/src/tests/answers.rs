//! What is on the wire of an answer: its end, its connection, what passes.

use super::play::{GET, Stage};

#[tokio::test]
async fn an_answer_is_the_last_one_if_a_head_before_it_said_so() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream
        .send("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(upstream.rest().await, "");
}

#[tokio::test]
async fn a_connection_that_its_server_is_about_to_close_is_not_used_again() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(upstream.rest().await, "");
}

#[tokio::test]
async fn a_client_of_http_1_0_is_told_that_its_connection_stays_after_a_reply_of_tpps_own() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage
        .asked(
            &mut client,
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        )
        .await;
    upstream.send("nonsense").await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 502 ") && head.contains("\r\nConnection: keep-alive\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nDate: "), "{head}");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_reaches_both_kinds_of_client() {
    let stage = Stage::new(2, |_| {}).await;
    let (mut new, mut old) = (stage.client().await, stage.client().await);
    new.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nDate: d\r\n\r\nsome")
        .await;
    assert!(
        new.head()
            .await
            .contains("\r\nTransfer-Encoding: chunked\r\n")
    );
    assert_eq!(new.exactly(9).await, "4\r\nsome\r\n");
    drop(upstream);
    assert_eq!(new.exactly(5).await, "0\r\n\r\n");

    old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nDate: d\r\n\r\nsome")
        .await;
    drop(upstream);
    assert_eq!(
        old.rest().await,
        "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\n\r\nsome"
    );
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_chunks_unframed() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let mut upstream = stage.upstream().await;
    assert!(
        upstream
            .head()
            .await
            .starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:")
    );
    upstream
        .send(
            "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(
        client.rest().await,
        "HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\n\r\nabc"
    );
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage
        .asked(&mut client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
        .await;
    assert!(client.head().await.contains("\r\nContent-Length: 400\r\n"));
    stage.exchange(&mut client, &mut upstream, GET).await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_ends_the_connection() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage
        .asked(
            &mut client,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\nsome",
        )
        .await;
    upstream
        .send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await;
    drop(upstream);
    let answer = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\r\nConnection: close\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("big"), "{answer}");
    stage.in_use(0).await;
}

#[tokio::test]
async fn a_websocket_passes_both_ways_until_either_side_ends() {
    let stage = Stage::new(1, |settings| {
        settings.lease.idle_timeout = Some(std::time::Duration::from_millis(100))
    })
    .await;
    let mut client = stage.client().await;
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n").await;
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    assert!(
        head.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
        "{head}"
    );
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}first").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(6).await, "\u{1}first");
    let begun = stage.worker.clock.now();
    super::play::until("it was idle for long", || {
        stage.worker.clock.now() > begun + 500
    })
    .await;
    client.send("\u{0}up").await;
    assert_eq!(upstream.exactly(3).await, "\u{0}up");
    upstream.send("down").await;
    drop(upstream);
    assert_eq!(client.rest().await, "down");
    stage.in_use(0).await;
}

#[tokio::test]
async fn connection_fields_of_the_answer_stay_behind() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nDate: d\r\nX-Own: 2\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(
        client.head().await,
        "HTTP/1.1 200 OK\r\nDate: d\r\nX-Own: 2\r\nContent-Length: 0\r\n\r\n"
    );
    // It closes its connection, not the client's.
    assert_eq!(upstream.rest().await, "");
    client.send(GET).await;
    stage.upstream().await.head().await;
}
