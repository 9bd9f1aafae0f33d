//! Requests that an upstream of HTTP/2 says it has not looked at: they are sent again, whatever they ask for. And what it says of them
//! in gRPC's words.

use h2::Reason;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tpp::{config::UpstreamHttp2, pool::SlotIndex};

use super::{
    http2_upstream::{Server, defaults},
    play::{ORIGIN, Peer, Stage, soon, until},
};

const POST: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 4\r\n\r\nbody";

/// A frame without settings.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The last stream that will be answered is none, and there is no error.
const GOAWAY_BEFORE_ALL: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

async fn stage() -> Stage {
    Stage::new(1, |settings| {
        settings.upstream.http2 = UpstreamHttp2::Only;
    })
    .await
}

/// The request comes to `server`, with its body, and is answered.
async fn serves(mut server: Server, client: &mut Peer) {
    let (request, to) = server.asked().await;
    let mut body = request.into_body();
    assert_eq!(soon("a body", body.data()).await.unwrap().unwrap(), "body");
    server.answer(to, "said").await;
    let said = client.through("\r\n0\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn a_stream_that_is_refused_goes_out_on_another_connection() {
    let stage = stage().await;
    let mut client = stage.client().await;
    client.send(POST).await;
    let mut first = Server::accept(&stage, &defaults()).await;
    let (_, to) = first.asked().await;
    first.refuse(to).await;
    let second = Server::accept(&stage, &defaults()).await;
    serves(second, &mut client).await;
}

#[tokio::test]
async fn a_request_after_the_last_that_a_server_answers_goes_out_again() {
    let stage = stage().await;
    let mut client = stage.client().await;
    client.send(POST).await;
    let mut first = stage.upstream_socket().await;
    first.write_all(&SETTINGS).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"body") {
        let more = soon("the request", first.read_buf(&mut heard)).await;
        assert!(more.unwrap() > 0);
    }
    first.write_all(&GOAWAY_BEFORE_ALL).await.unwrap();
    let second = Server::accept(&stage, &defaults()).await;
    serves(second, &mut client).await;
}

#[tokio::test]
async fn a_server_that_refuses_every_stream_is_not_asked_for_ever() {
    let stage = stage().await;
    let mut client = stage.client().await;
    client.send(POST).await;
    for _ in 0..2 {
        let mut server = Server::accept(&stage, &defaults()).await;
        let (_, to) = server.asked().await;
        server.refuse(to).await;
    }
    let said = client.head().await;
    assert!(said.contains("grpc-status: 14"), "{said}");
}

#[tokio::test]
async fn a_stream_that_was_begun_and_is_reset_is_not_sent_twice() {
    let stage = stage().await;
    let mut client = stage.client().await;
    client.send(POST).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, mut to) = server.asked().await;
    to.send_reset(Reason::INTERNAL_ERROR);
    server.carry().await;
    let said = client.head().await;
    assert!(said.contains("grpc-status: 14"), "{said}");
}

#[tokio::test]
async fn a_token_refused_in_the_words_of_grpc_is_renewed() {
    let stage = stage().await;
    let mut client = stage.client().await;
    client.send(POST).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, mut to) = server.asked().await;
    let refused = Response::builder().header("grpc-status", "16").body(());
    to.send_response(refused.unwrap(), true).unwrap();
    server.carry().await;
    let slot = SlotIndex::new(0);
    until("the refusal is reported", || stage.stock.is_suspect(slot)).await;
    stage.stock.install(slot, b"token-0-2", ORIGIN).unwrap();
    serves(server, &mut client).await;
}
