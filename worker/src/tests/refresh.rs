//! An upstream that refuses a token.

use tpp::pool::SlotIndex;

use super::play::{ORIGIN, Stage, until};

const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno!";
const SLOT: fn() -> SlotIndex = || SlotIndex::new(0);

/// Sends `request`, refuses it, installs a new token, and returns the head that arrives then and the connection it
/// arrives on.
async fn refused_once(
    stage: &Stage,
    request: &str,
    refused: &str,
) -> (super::play::Peer, super::play::Peer, String) {
    let mut client = stage.client().await;
    client.send(request).await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("Bearer token-0-1\r\n"));
    assert_eq!(upstream.exactly(refused.len()).await, refused);
    upstream.send(REFUSAL).await;
    until("the refusal is reported", || stage.stock.is_suspect(SLOT())).await;
    stage.stock.install(SLOT(), b"token-0-2", ORIGIN).unwrap();
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    assert!(head.contains("Bearer token-0-2\r\n"), "{head}");
    (client, upstream, head)
}

#[tokio::test]
async fn a_refused_token_is_not_the_clients_business() {
    let stage = Stage::new(1, |_| {}).await;
    let (mut client, mut upstream, _) =
        refused_once(&stage, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "").await;
    upstream
        .send("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(
        client.through("ok").await,
        "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok"
    );
    assert_eq!(
        (stage.stock.totals().token_errors, stage.census().in_use),
        (1, 1)
    );
    stage
        .exchange(
            &mut client,
            &mut upstream,
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
}

#[tokio::test]
async fn a_request_body_is_sent_again_with_the_new_token() {
    let stage = Stage::new(1, |_| {}).await;
    let body = "y".repeat(50_000);
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{body}");
    let (mut client, mut upstream, _) = refused_once(&stage, &request, &body).await;
    assert_eq!(upstream.exactly(50_000).await, body);
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_chunked_body_that_is_still_coming_goes_on_after_the_refusal() {
    let stage = Stage::new(1, |_| {}).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let (mut client, mut upstream, _) = refused_once(&stage, request, "3\r\nabc\r\n").await;
    client.send("2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(
        upstream.through("0\r\n\r\n").await,
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_second_refusal_is_passed_on() {
    let stage = Stage::new(1, |_| {}).await;
    let (mut client, mut upstream, _) =
        refused_once(&stage, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "").await;
    upstream.send(REFUSAL).await;
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    assert_eq!(stage.stock.totals().token_errors, 2);
    stage
        .exchange(
            &mut client,
            &mut upstream,
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
}

#[tokio::test]
async fn when_the_login_fails_the_refusal_is_passed_on() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send(REFUSAL).await;
    until("the refusal is reported", || stage.stock.is_suspect(SLOT())).await;
    stage.stock.login_failed(SLOT());
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let body = "z".repeat(65_537);
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n{body}"
        ))
        .await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.exactly(65_537).await;
    upstream.send(REFUSAL).await;
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    assert!(
        stage.stock.is_suspect(SLOT()),
        "the token is renewed all the same"
    );
}

#[tokio::test]
async fn a_client_that_breaks_off_during_the_refresh_gives_its_slot_back() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send(REFUSAL).await;
    until("the refusal is reported", || stage.stock.is_suspect(SLOT())).await;
    client.reset();
    stage.in_use(0).await;
}
