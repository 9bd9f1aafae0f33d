//! Peers that fail, stall or leave.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::task::coop::{has_budget_remaining, poll_proceed};

use super::play::{GET, ORIGIN, Peer, Stage, place, until};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
const BRIEF: Duration = Duration::from_millis(200);

async fn refused_with(client: &mut Peer, status: &str) -> String {
    let head = client.head().await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    let body = client.through("}").await;
    assert!(body.starts_with("{\"error\":\""), "{body}");
    body
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let mut stage = Stage::new(1, |_| {}).await;
    stage.lose_upstream().await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let body = refused_with(&mut client, "502").await;
    assert!(body.contains("refused"), "{body}");
    // The client may try again on the same connection.
    client.send(GET).await;
    refused_with(&mut client, "502").await;
    assert_eq!(
        (
            stage.stock.totals().requests,
            stage.stock.totals().request_errors
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_bad_gateway_until_it_does() {
    let stage = Stage::new(2, |_| {}).await;
    let mut places = Vec::new();
    stage.put_in_force(|plan| std::mem::swap(&mut plan.backends[0].places, &mut places));
    let mut client = stage.client().await;
    client.send(GET).await;
    refused_with(&mut client, "502").await;
    stage.put_in_force(|plan| plan.backends[0].places.clone_from(&places));
    client.send(GET).await;
    stage.upstream().await.head().await;
    let mut client = stage.client().await;
    stage.put_in_force(|plan| plan.backends[0].places.clear());
    stage.put_in_force(|plan| plan.backends[0].places.clone_from(&places));
    client.send(GET).await;
    stage.upstream().await.head().await;
}

#[tokio::test]
async fn settings_put_in_force_hold_for_the_next_request_of_an_idle_connection() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = idle_upstream(&stage, &mut client).await;
    stage.put_in_force(|plan| plan.settings.trust_forwarded = true);
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        .await;
    // The idle connection to the upstream is good still: nothing else has changed.
    let head = upstream.head().await;
    assert!(
        head.contains("X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let stage = Stage::new(1, |_| {}).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    stage.put_in_force(|plan| plan.backends[0].places.insert(0, place(address)));
    let mut client = stage.client().await;
    client.send(GET).await;
    stage.upstream().await.head().await;
}

/// A listener whose backlog is full: whoever connects hears nothing.
async fn silent() -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let connect = || {
        let limit = std::time::Duration::from_millis(200);
        tokio::time::timeout(limit, tokio::net::TcpStream::connect(address))
    };
    while let Ok(Ok(one)) = connect().await {
        waiting.push(one);
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_that_swallows_packets_keeps_nobody_waiting_for_its_timeout() {
    // The time a connect may take is as long as this test's patience.
    let stage = Stage::new(1, |_| {}).await;
    let silents = [silent().await, silent().await];
    stage.put_in_force(|plan| {
        for (listener, _) in &silents {
            let address = listener.local_addr().unwrap();
            plan.backends[0].places.insert(0, place(address));
        }
    });
    for _ in 0..4 {
        let mut client = stage.client().await;
        let mut upstream = stage
            .asked(
                &mut client,
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            )
            .await;
        upstream
            .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        client.head().await;
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_a_bad_gateway() {
    let stage = Stage::new(1, |_| {}).await;
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-", "nonsense\r\n\r\n"] {
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, POST).await;
        upstream.exactly(1).await;
        upstream.send(answer).await;
        drop(upstream);
        refused_with(&mut client, "502").await;
        drop(client);
        stage.in_use(0).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let stage = Stage::new(1, |_| {}).await;
    for (framing, part) in [
        ("Content-Length: 9", "some"),
        ("Transfer-Encoding: chunked", "4\r\nsome\r\n"),
    ] {
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, GET).await;
        upstream
            .send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}"))
            .await;
        client.head().await;
        drop(upstream);
        assert_eq!(client.rest().await, part);
        stage.in_use(0).await;
    }
}

#[tokio::test]
async fn where_nothing_else_tells_that_an_answer_is_cut_a_reset_does() {
    let stage = Stage::new(1, |_| {}).await;
    for (end, is_reset) in [("4\r\nmore\r\n0\r\n\r\n", false), ("", true)] {
        let mut client = stage.client().await;
        let mut upstream = stage
            .asked(&mut client, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            .await;
        upstream
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
            .await;
        client.through("\r\n\r\nsome").await;
        upstream.send(end).await;
        drop(upstream);
        assert_eq!(client.ends_by_a_reset().await, is_reset, "{end:?}");
        stage.in_use(0).await;
    }
}

#[tokio::test]
async fn who_breaks_off_after_ending_its_side_is_gone() {
    let stage = Stage::new(1, |settings| {
        settings.lease.abandoned_wait = Duration::from_secs(3600);
    })
    .await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    client.finish().await;
    client.reset();
    stage.in_use(0).await;
    assert_eq!(upstream.rest().await, "");
}

#[tokio::test]
async fn an_answer_of_which_nothing_went_out_yet_becomes_a_bad_gateway() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let upstream = stage.asked(&mut client, GET).await;
    // It arrives with its end, in one piece.
    upstream.send_and_end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
    refused_with(&mut client, "502").await;
}

/// Leaves one idle connection to the upstream and returns its upstream end.
async fn idle_upstream(stage: &Stage, client: &mut Peer) -> Peer {
    let mut upstream = stage.asked(client, GET).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    upstream
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_is_not_used_again() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    drop(idle_upstream(&stage, &mut client).await);
    let mut upstream = stage.asked(&mut client, POST).await;
    assert_eq!(upstream.exactly(1).await, "x");
}

#[tokio::test]
async fn nor_is_it_by_a_task_that_has_done_so_much_that_the_runtime_tells_it_to_wait() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    drop(idle_upstream(&stage, &mut client).await);
    // The runtime looks at the system, so that it has heard; the worker, at its next tick, would drop what is closed.
    tokio::task::yield_now().await;
    let view = stage.worker.view();
    let upstream = &view.backends()[0].upstream;
    let reused = poll_fn(|cx| {
        while let Poll::Ready(progress) = poll_proceed(cx) {
            progress.made_progress();
        }
        assert!(!has_budget_remaining());
        Poll::Ready(upstream.reuse(ORIGIN, stage.worker.clock.now()).is_some())
    });
    assert!(!reused.await, "it was closed");
}

#[tokio::test]
async fn a_request_lost_on_a_reused_connection_is_sent_again_if_that_does_no_harm() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = idle_upstream(&stage, &mut client).await;
    client.send(GET).await;
    upstream.head().await;
    drop(upstream);
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    for unsafe_one in [
        POST,
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        client.send(unsafe_one).await;
        upstream.head().await;
        drop(upstream);
        refused_with(&mut client, "502").await;
        assert!(stage.upstream_is_untouched().await, "{unsafe_one}");
        client = stage.client().await;
        upstream = idle_upstream(&stage, &mut client).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let stage = Stage::new(1, |settings| {
        settings.upstream.response_header_timeout = Some(BRIEF)
    })
    .await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, POST).await;
    refused_with(&mut client, "504").await;
    assert_eq!(upstream.rest().await, "x");
}

#[tokio::test]
async fn neither_a_slow_upload_nor_a_slow_answer_is_late() {
    let stage = Stage::new(1, |settings| {
        settings.upstream.response_header_timeout = Some(BRIEF)
    })
    .await;
    let pause = async || {
        let begun = stage.worker.clock.now();
        until("time passes", || stage.worker.clock.now() > begun + 600).await;
    };
    let mut client = stage.client().await;
    let mut upstream = stage
        .asked(
            &mut client,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n1",
        )
        .await;
    pause().await;
    client.send("2").await;
    assert_eq!(upstream.exactly(2).await, "12");
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        .await;
    client.head().await;
    pause().await;
    upstream.send("b").await;
    assert_eq!(client.exactly(2).await, "ab");
}

#[tokio::test]
async fn whenever_a_client_leaves_its_slot_comes_back() {
    // One that ends its side may still want its answer: it is waited for, but not for ever.
    let stage = Stage::new(1, |settings| settings.lease.abandoned_wait = BRIEF).await;
    for leave in [|client: Peer| drop(client), Peer::reset] {
        // Before the answer.
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, GET).await;
        leave(client);
        stage.in_use(0).await;
        assert_eq!(upstream.rest().await, "");
        // In its request body.
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nsome").await;
        leave(client);
        stage.in_use(0).await;
        assert_eq!(upstream.rest().await, "some");
        // In the answer's body.
        let mut client = stage.client().await;
        let mut upstream = stage.asked(&mut client, GET).await;
        upstream
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
            .await;
        client.head().await;
        leave(client);
        stage.in_use(0).await;
        assert_eq!(upstream.rest().await, "");
        // Between requests.
        let mut client = stage.client().await;
        drop(idle_upstream(&stage, &mut client).await);
        leave(client);
        stage.in_use(0).await;
    }
    let totals = stage.stock.totals();
    assert_eq!((totals.acquisitions, totals.releases), (8, 8));
    until("all connections are closed", || {
        stage.worker.connections() == 0
    })
    .await;
    assert_eq!(stage.stock.totals().connections_closed, 8);
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_the_upstream_back() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        .await;
    stage.play(async move {
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..47 {
            upstream.send(&piece).await;
        }
        upstream.send(&piece[..50_000_000 - (47 << 20)]).await;
    });
    client.head().await;
    let begun = stage.worker.clock.now();
    until("time passes", || stage.worker.clock.now() > begun + 300).await;
    assert_eq!(client.exactly(50_000_000).await.len(), 50_000_000);
}
