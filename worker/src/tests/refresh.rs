//! An upstream that refuses a token.

use tpp::{pool::SlotIndex, shared::Hopeless};

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
async fn a_refusal_that_a_fresh_token_did_not_cure_is_passed_on_and_so_are_those_that_follow() {
    let stage = Stage::new(1, |_| {}).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut client, mut upstream, _) = refused_once(&stage, request, "").await;
    upstream.send(REFUSAL).await;
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    for _ in 0..5 {
        client.send(request).await;
        assert!(upstream.head().await.contains("Bearer token-0-2\r\n"));
        upstream.send(REFUSAL).await;
        assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    }
    assert!(!stage.stock.is_suspect(SLOT()), "no login was asked for");
    assert_eq!(stage.stock.totals().token_errors, 7);
    stage.exchange(&mut client, &mut upstream, request).await;
    assert!(stage.stock.has_served(SLOT()));
}

#[tokio::test]
async fn when_no_login_comes_soon_the_refusal_is_passed_on_at_once() {
    let stage = Stage::new(1, |_| {}).await;
    stage.stock.put_off(SLOT());
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send(REFUSAL).await;
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    assert!(
        stage.stock.is_suspect(SLOT()),
        "it is reported all the same"
    );
}

#[tokio::test]
async fn the_statuses_that_mean_renew_are_those_of_the_configuration() {
    let stage = Stage::new(1, |settings| settings.token.renew_on = vec![403]).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = stage.client().await;
    client.send(request).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send(REFUSAL).await;
    assert!(client.through("no!").await.starts_with("HTTP/1.1 401 "));
    assert!(!stage.stock.is_suspect(SLOT()));
    client.send(request).await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!")
        .await;
    until("it is reported", || stage.stock.is_suspect(SLOT())).await;
    stage.stock.install(SLOT(), b"token-0-2", ORIGIN).unwrap();
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("Bearer token-0-2\r\n"));
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn when_all_accounts_are_refused_those_in_line_and_new_ones_are_told_at_once() {
    let stage = Stage::new(1, |_| {}).await;
    stage.stock.take_out_of_use(SLOT());
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = stage.client().await;
    client.send(request).await;
    stage.waiting(1).await;
    stage.stock.set_hopeless(Some(Hopeless::Refused(3)));
    assert!(client.head().await.starts_with("HTTP/1.1 503 "));
    let details = "the upstream refuses the logins of all 3 accounts\"}";
    client.through(details).await;
    stage.waiting(0).await;
    client.send(request).await;
    client.through(details).await;
    stage.stock.set_hopeless(None);
    client.send(request).await;
    stage.waiting(1).await;
    stage.stock.install(SLOT(), b"token-0-2", ORIGIN).unwrap();
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_login_by_a_client_is_refused_where_it_may_not_be() {
    let stage = Stage::new(1, |settings| {
        settings.token.login_from_clients = false;
        settings.token.login_path = "/api/login".into();
    })
    .await;
    let mut client = stage.client().await;
    for target in ["/api/login", "/api/%6Cogin?x", "//api/./login"] {
        client
            .send(format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 403 "), "{target}");
        client.through("\"}").await;
    }
    assert!(stage.upstream_is_untouched().await);
    assert_eq!(stage.census().in_use, 0);
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
