//! Clients that speak HTTP/2: their streams take the way of any request, and their connection ends as it should.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::Reason;
use http::{Method, Request, StatusCode};
use tpp::config::{Http2, Http2Lease};

use super::{
    http2_client::{Client, STREAMS, text, whole},
    play::{Peer, Stage, soon, until},
};

/// The upstream's side of a request without a body: its head, read.
async fn answered(stage: &Stage, answer: &str) -> String {
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    upstream.send(answer).await;
    head
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsaid";

#[tokio::test]
async fn a_stream_takes_the_way_of_any_request() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let request = Request::get("http://a.example:81/x?y=1")
        .header("cookie", "a=1")
        .header("x-own", "mine")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, _) = client.send(request, true).await;
    let said = "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\nX-Other: 2\r\n\
                Content-Length: 4\r\n\r\nsaid";
    let head = answered(&stage, said).await;
    assert!(
        head.starts_with("GET /x?y=1 HTTP/1.1\r\nHost: a.example:81\r\n"),
        "{head}"
    );
    for line in [
        "cookie: a=1; b=2",
        "x-own: mine",
        "Authorization: Bearer token-0-1",
        "Via: 2.0 tpp",
        "X-Forwarded-For: 127.0.0.1",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    assert!(
        !head.contains("te:") && !head.contains("ransfer-"),
        "{head}"
    );
    let (head, body, _) = whole(answer).await;
    assert_eq!((head.status(), body.as_str()), (StatusCode::OK, "said"));
    let names: Vec<_> = head
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["x-other", "content-length", "date"]);
    stage.in_use(0).await;
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let (answer, mut body) = client.ask(Method::POST, "/", false).await;
    body.send_data("first".into(), false).unwrap();
    let mut trailer = http::HeaderMap::new();
    trailer.insert("x-sum", "12".parse().unwrap());
    body.send_trailers(trailer).unwrap();
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    assert!(
        head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{head}"
    );
    let said = upstream.through("x-sum: 12\r\n\r\n").await;
    assert_eq!(said, "5\r\nfirst\r\n0\r\nx-sum: 12\r\n\r\n");
    upstream
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n4\r\nsaid\r\n0\r\ngrpc-status: 0\r\n\r\n")
        .await;
    let (_, body, trailer) = whole(answer).await;
    assert_eq!(body, "said");
    assert_eq!(trailer["grpc-status"], "0");
}

#[tokio::test]
async fn an_answer_without_a_body_has_none() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    for (method, answer, status) in [
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
        ),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", 204),
        (
            Method::GET,
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
            304,
        ),
        (
            Method::DELETE,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
        ),
    ] {
        let (asked, _) = client.ask(method.clone(), "/", true).await;
        let mut upstream = stage.upstream().await;
        upstream.head().await;
        upstream.send(answer).await;
        // The next one needs a connection of its own.
        drop(upstream);
        let asked = soon("an answer", asked).await.unwrap();
        assert_eq!(asked.status(), status);
        assert!(asked.body().is_end_stream(), "{method} {status}");
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let request = Request::post("http://a.example/")
        .header("expect", "100-continue")
        .header("content-length", "4")
        .body(())
        .unwrap();
    let (mut answer, mut body) = client.send(request, false).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    let interim = poll_fn(|cx| answer.poll_informational(cx));
    let interim = soon("100", interim).await.unwrap().unwrap();
    assert_eq!(interim.status(), StatusCode::CONTINUE);
    body.send_data("body".into(), true).unwrap();
    assert_eq!(upstream.exactly(4).await, "body");
    upstream.send(OK).await;
    assert_eq!(whole(answer).await.1, "said");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_never_looks_whole() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let answer = client.get("/").await;
        let mut upstream = stage.upstream().await;
        upstream.head().await;
        upstream.send(head).await;
        let mut answer = soon("an answer", answer).await.unwrap().into_body();
        let half = soon("half of it", answer.data()).await.unwrap().unwrap();
        assert_eq!(half, "half");
        drop(upstream);
        let error = text(&mut answer).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{head}");
    }
    stage.in_use(0).await;
}

#[tokio::test]
async fn a_client_that_resets_a_stream_gives_its_token_back() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let (answer, mut body) = client.ask(Method::GET, "/", true).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    // One that waits in line leaves it.
    let (_second, mut waiting) = client.ask(Method::GET, "/", true).await;
    stage.waiting(1).await;
    waiting.send_reset(Reason::CANCEL);
    stage.waiting(0).await;
    body.send_reset(Reason::CANCEL);
    drop(answer);
    stage.in_use(0).await;
    assert_eq!(upstream.rest().await, "");
    assert!(!client.connection.is_finished(), "the others go on");
}

#[tokio::test]
async fn streams_of_one_connection_stand_in_line_like_connections() {
    let mut stage = Stage::new(2, |_| {}).await;
    stage.answer_all().await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let mut answers = Vec::new();
    for _ in 0..64 {
        answers.push(client.get("/").await);
    }
    for answer in answers {
        assert_eq!(whole(answer).await.0.status(), 204);
    }
    stage.in_use(0).await;
    assert_eq!(stage.worker.connections(), 1, "a connection counts once");
}

#[tokio::test]
async fn a_lease_of_the_connection_is_kept_from_stream_to_stream() {
    let mut stage = Stage::new(2, |_| {}).await;
    let terms = Http2 {
        lease: Http2Lease::Connection,
        ..STREAMS
    };
    let mut client = Client::new(&mut stage, terms).await;
    let mut upstream: Option<Peer> = None;
    for _ in 0..3 {
        let answer = client.get("/").await;
        let mut peer = match upstream.take() {
            Some(peer) => peer,
            None => stage.upstream().await,
        };
        let head = peer.head().await;
        assert!(head.contains("token-0-1"), "{head}");
        peer.send(OK).await;
        assert_eq!(whole(answer).await.1, "said");
        assert_eq!(stage.census().in_use, 1);
        upstream = Some(peer);
    }
    // Both at once: the second one is begun when the first has ended.
    let first = client.get("/").await;
    let mut peer = upstream.unwrap();
    peer.head().await;
    let mut more = client.streams.clone();
    let second = tokio::spawn(async move {
        poll_fn(|cx| more.poll_ready(cx)).await.unwrap();
        let request = Request::get("http://a.example/").body(()).unwrap();
        more.send_request(request, true).unwrap().0.await
    });
    peer.send(OK).await;
    assert_eq!(whole(first).await.1, "said");
    peer.head().await;
    peer.send(OK).await;
    assert_eq!(
        soon("the second", second).await.unwrap().unwrap().status(),
        200
    );
    drop(client.streams);
    stage.in_use(0).await;
}

#[tokio::test]
async fn a_draining_worker_says_so_and_finishes_what_is_open() {
    let mut stage = Stage::new(2, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let idle = Client::new(&mut stage, STREAMS).await;
    let answer = client.get("/").await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    stage.worker.drain();
    assert!(
        idle.end().await.is_ok(),
        "one that asks nothing ends at once"
    );
    upstream.send(OK).await;
    assert_eq!(whole(answer).await.1, "said");
    assert!(client.end().await.is_ok());
    until("all have left", || stage.worker.connections() == 0).await;
}

#[tokio::test]
async fn a_stream_that_begins_just_as_its_worker_drains_is_not_taken_for_none() {
    let mut stage = Stage::new(1, |_| {}).await;
    let worker = std::sync::Arc::clone(&stage.worker);
    let resting = || {
        let (now, mut count) = (worker.clock.now(), 0);
        worker.timers.for_each(|timer| {
            count += usize::from(timer.standing.is_idle_for(0, now));
        });
        count
    };
    let mut client = Client::new(&mut stage, STREAMS).await;
    until("it rests", || resting() == 1).await;
    let answer = client.get("/").await;
    // After the client's task has said it, before the connection's has heard it: that one sees both in one look.
    let draining = std::sync::Arc::clone(&worker);
    tokio::spawn(async move { draining.drain() }).await.unwrap();
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    assert_eq!(resting(), 0);
    upstream.send(OK).await;
    assert_eq!(whole(answer).await.1, "said");
    assert!(client.end().await.is_ok());
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_order() {
    let mut stage = Stage::new(1, |settings| {
        settings.lease.idle_timeout = Some(Duration::from_millis(50));
    })
    .await;
    stage.answer_all().await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let answer = client.get("/").await;
    assert_eq!(whole(answer).await.0.status(), 204);
    assert!(client.end().await.is_ok());
    until("it has left", || stage.worker.connections() == 0).await;
}

#[tokio::test]
async fn a_side_that_does_not_read_stops_the_other_one() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let (answer, mut body) = client.ask(Method::POST, "/", false).await;
    // The upstream reads nothing: after a while nothing more is taken.
    let mut taken = 0;
    loop {
        body.reserve_capacity(16 * 1024);
        let room = poll_fn(|cx| body.poll_capacity(cx));
        match tokio::time::timeout(Duration::from_millis(500), room).await {
            Ok(room) => {
                let room = room.unwrap().unwrap();
                body.send_data(Bytes::from(vec![b'x'; room]), false)
                    .unwrap();
                taken += room;
            }
            Err(_) => break,
        }
        assert!(taken < 64 << 20, "it takes whatever comes");
    }
    drop((answer, body));
}

#[tokio::test]
async fn a_head_that_is_too_large_or_means_two_things_is_refused() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let mut request = Request::get("http://a.example/");
    for number in 0..10 {
        request = request.header(format!("x-{number}"), "y".repeat(8_000));
    }
    let (answer, _) = client.send(request.body(()).unwrap(), true).await;
    let (head, body, _) = whole(answer).await;
    assert_eq!(head.status(), 431);
    assert!(body.contains("\"error\""), "{body}");
    let two_hosts = Request::get("http://a.example/").header("host", "b.example");
    let (answer, _) = client.send(two_hosts.body(()).unwrap(), true).await;
    let (head, body, _) = whole(answer).await;
    assert_eq!(head.status(), 400, "{body}");
    assert!(stage.upstream_is_untouched().await);
}

#[tokio::test]
async fn a_caller_of_grpc_is_refused_in_its_own_words() {
    let mut stage = Stage::new(1, |settings| {
        settings.lease.max_waiting = Some(0);
    })
    .await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let _first = client.get("/").await;
    let _upstream = stage.upstream().await;
    stage.in_use(1).await;
    let call = Request::post("http://a.example/a.B/C").header("content-type", "application/grpc");
    let (answer, _) = client.send(call.body(()).unwrap(), true).await;
    let answer = soon("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.body().is_end_stream());
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert!(answer.headers().contains_key("grpc-message"));
}
