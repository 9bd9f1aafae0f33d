//! Upstreams that speak HTTP/2: requests share a connection, and each has its own end.

use std::task::Poll;

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Connection, SendResponse},
};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::TcpStream;
use tpp::{
    config::{Abandoned, Http2, Http2Lease, UpstreamHttp2},
    pool::SlotIndex,
};

use super::{
    http2_client::{Client, whole},
    play::{GET, ORIGIN, Stage, soon, until},
};

/// A worker with so many tokens, whose upstream speaks HTTP/2 alone.
async fn stage(slots: usize) -> Stage {
    Stage::new(slots, |settings| {
        settings.upstream.http2 = UpstreamHttp2::Only;
    })
    .await
}

pub(super) type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// The upstream's side of a connection.
pub(super) struct Server(Connection<TcpStream, Bytes>);

impl Server {
    pub(super) async fn accept(stage: &Stage, bounds: &h2::server::Builder) -> Self {
        let socket = stage.upstream_socket().await;
        let connection = soon("HTTP/2 begins", bounds.handshake(socket)).await;
        Self(connection.unwrap())
    }

    pub(super) async fn asked(&mut self) -> Asked {
        soon("a request", self.0.accept()).await.unwrap().unwrap()
    }

    /// Answers 200, and sends it.
    pub(super) async fn answer(&mut self, mut to: SendResponse<Bytes>, said: &'static str) {
        let mut body = to.send_response(Response::new(()), false).unwrap();
        body.send_data(said.into(), true).unwrap();
        self.carry().await;
    }

    /// Refuses a stream, and sees that no other one comes on this connection.
    pub(super) async fn refuse(mut self, mut to: SendResponse<Bytes>) {
        to.send_reset(Reason::REFUSED_STREAM);
        assert!(soon("it is left", self.0.accept()).await.is_none());
    }

    /// Sends what there is to send.
    pub(super) async fn carry(&mut self) {
        let moment = std::time::Duration::from_millis(50);
        let more = tokio::time::timeout(moment, self.0.accept()).await;
        assert!(more.is_err(), "nothing else comes");
    }
}

pub(super) fn defaults() -> h2::server::Builder {
    h2::server::Builder::new()
}

#[tokio::test]
async fn a_request_and_its_answer_pass_with_their_trailers() {
    let stage = stage(1).await;
    let mut client = stage.client().await;
    client
        .send("POST /x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 4\r\n\r\n")
        .await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (request, mut to) = server.asked().await;
    let (head, mut body) = request.into_parts();
    assert_eq!(
        (head.method, head.uri.to_string().as_str()),
        (Method::POST, "http://a.example/x?y=1")
    );
    for (name, value) in [
        ("te", "trailers"),
        ("x-own", "1"),
        ("authorization", "Bearer token-0-1"),
        ("via", "1.1 tpp"),
    ] {
        assert_eq!(head.headers[name], value);
    }
    assert!(!head.headers.contains_key("transfer-encoding") && !head.headers.contains_key("host"));
    let mut answer = to.send_response(Response::new(()), false).unwrap();
    answer.send_data("said".into(), false).unwrap();
    let mut trailer = HeaderMap::new();
    trailer.insert("grpc-status", "0".parse().unwrap());
    answer.send_trailers(trailer).unwrap();
    let carried = tokio::spawn(async move { server.0.accept().await.is_none() });
    assert_eq!(
        soon("the body", body.data()).await.unwrap().unwrap(),
        "body"
    );
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["x-sum"], "4");
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{head}"
    );
    assert!(
        !head.contains("Connection: close"),
        "the client's connection goes on: {head}"
    );
    assert_eq!(
        client.through("\r\n\r\n").await,
        "4\r\nsaid\r\n0\r\ngrpc-status: 0\r\n\r\n"
    );
    carried.abort();
}

#[tokio::test]
async fn requests_share_a_connection_as_far_as_its_server_lets_them() {
    let stage = stage(3).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = stage.client().await;
        client.send(GET).await;
        clients.push(client);
    }
    let mut server = Server::accept(&stage, defaults().max_concurrent_streams(3)).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(server.asked().await);
    }
    assert!(
        stage.upstream_is_untouched().await,
        "one connection is enough"
    );
    for (_, to) in asked {
        server.answer(to, "said").await;
    }
    for client in &mut clients {
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
}

#[tokio::test]
async fn a_connection_that_its_server_ends_is_followed_by_another() {
    let stage = stage(1).await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, to) = server.asked().await;
    server.answer(to, "one").await;
    client.through("\r\n0\r\n\r\n").await;
    // GOAWAY, and the connection with it.
    server.0.graceful_shutdown();
    assert!(soon("it ends", server.0.accept()).await.is_none());
    drop(server);
    client.send(GET).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, to) = server.asked().await;
    server.answer(to, "two").await;
    let said = client.through("\r\n0\r\n\r\n").await;
    assert!(said.contains("two"), "{said}");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_stream_alone() {
    let stage = stage(2).await;
    let (mut leaves, mut stays) = (stage.client().await, stage.client().await);
    leaves.send(GET).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_request, mut left) = server.asked().await;
    stays.send(GET).await;
    let (_, to) = server.asked().await;
    leaves.reset();
    let reset = tokio::spawn(async move {
        let reason = std::future::poll_fn(|cx| left.poll_reset(cx)).await;
        reason.unwrap()
    });
    server.answer(to, "said").await;
    assert_eq!(
        soon("the stream is reset", reset).await.unwrap(),
        Reason::CANCEL
    );
    let said = stays.through("\r\n0\r\n\r\n").await;
    assert!(said.contains("said"), "{said}");
    stage.in_use(1).await;
}

#[tokio::test]
async fn a_stream_whose_client_left_ends_in_its_own_time_and_its_token_goes_on_then() {
    let stage = Stage::new(1, |settings| {
        settings.upstream.http2 = UpstreamHttp2::Only;
        settings.lease.abandoned = Abandoned::Wait;
    })
    .await;
    let (mut leaves, mut waits) = (stage.client().await, stage.client().await);
    leaves.send(GET).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_request, mut left) = server.asked().await;
    waits.send(GET).await;
    stage.waiting(1).await;
    leaves.reset();
    until("its client is gone", || stage.worker.connections() == 1).await;
    // Nothing is cancelled, and nothing else begins.
    server.carry().await;
    let reset = std::future::poll_fn(|cx| Poll::Ready(left.poll_reset(cx))).await;
    assert!(reset.is_pending(), "{reset:?}");
    assert_eq!(stage.worker.desk.waiting(), 1);
    let mut body = left.send_response(Response::new(()), false).unwrap();
    body.send_data("late".into(), true).unwrap();
    let (request, to) = server.asked().await;
    assert_eq!(
        request.headers()["authorization"],
        "Bearer token-0-1",
        "without a login"
    );
    server.answer(to, "said").await;
    let said = waits.through("\r\n0\r\n\r\n").await;
    assert!(said.contains("said") && !said.contains("late"), "{said}");
}

#[tokio::test]
async fn an_answer_that_is_reset_never_looks_whole() {
    let stage = stage(1).await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, mut to) = server.asked().await;
    let mut body = to.send_response(Response::new(()), false).unwrap();
    body.send_data("half".into(), false).unwrap();
    server.carry().await;
    client.through("half\r\n").await;
    body.send_reset(Reason::INTERNAL_ERROR);
    server.carry().await;
    assert_eq!(client.rest().await, "", "no last chunk");
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_sent_again() {
    let stage = stage(1).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, mut to) = server.asked().await;
    let refused = Response::builder().status(401).body(()).unwrap();
    to.send_response(refused, true).unwrap();
    server.carry().await;
    let slot = SlotIndex::new(0);
    until("the refusal is reported", || stage.stock.is_suspect(slot)).await;
    stage.stock.install(slot, b"token-0-2", ORIGIN).unwrap();
    let (request, to) = server.asked().await;
    let (head, mut body) = request.into_parts();
    assert_eq!(head.headers["authorization"], "Bearer token-0-2");
    assert_eq!(
        soon("the body", body.data()).await.unwrap().unwrap(),
        "body"
    );
    server.answer(to, "said").await;
    let said = client.through("\r\n0\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn what_streams_both_ways_is_not_held_up_on_the_way() {
    let mut stage = stage(1).await;
    let terms = Http2 {
        lease: Http2Lease::Stream,
        max_streams: 10,
    };
    let mut client = Client::new(&mut stage, terms).await;
    let call =
        Request::post("http://a.example/a.B/Talk").header("content-type", "application/grpc");
    let (answer, mut says) = client.send(call.body(()).unwrap(), false).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (request, mut to) = server.asked().await;
    let mut heard = request.into_body();
    let carrying = tokio::spawn(async move { while server.0.accept().await.is_some() {} });
    let mut replies = to.send_response(Response::new(()), false).unwrap();
    let mut answer = soon("the head", answer).await.unwrap().into_body();
    for turn in ["one", "two", "three"] {
        says.send_data(turn.into(), false).unwrap();
        assert_eq!(
            soon("what was said", heard.data()).await.unwrap().unwrap(),
            turn
        );
        replies.send_data(turn.into(), false).unwrap();
        assert_eq!(
            soon("the reply", answer.data()).await.unwrap().unwrap(),
            turn
        );
    }
    says.send_data(Bytes::new(), true).unwrap();
    while let Some(rest) = soon("the end", heard.data()).await {
        assert!(rest.unwrap().is_empty());
    }
    let mut trailer = HeaderMap::new();
    trailer.insert("grpc-status", "0".parse().unwrap());
    replies.send_trailers(trailer).unwrap();
    assert!(soon("the end", answer.data()).await.is_none());
    let trailer = soon("trailers", answer.trailers()).await.unwrap().unwrap();
    assert_eq!(trailer["grpc-status"], "0");
    carrying.abort();
}

#[tokio::test]
async fn an_answer_that_is_a_trailer_alone_passes() {
    let mut stage = stage(1).await;
    let terms = Http2 {
        lease: Http2Lease::Stream,
        max_streams: 10,
    };
    let mut client = Client::new(&mut stage, terms).await;
    let answer = client.get("/").await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, mut to) = server.asked().await;
    let only = Response::builder()
        .header("grpc-status", "5")
        .body(())
        .unwrap();
    to.send_response(only, true).unwrap();
    server.carry().await;
    let (head, body, _) = whole(answer).await;
    assert_eq!(
        (head.headers()["grpc-status"].as_bytes(), body.as_str()),
        (&b"5"[..], "")
    );
}
