//! Keys that need no login: one that the upstream has had enough of rests, and each stands in the header that the server wants.

use tpp::{clock::boot_millis, pool::SlotIndex, shared::Hopeless};

use super::play::{Stage, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const USED_UP: &str =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\nno";

/// A worker whose tokens are keys.
async fn with_keys(slots: usize) -> Stage {
    let stage = Stage::new(slots, |_| {}).await;
    stage.stock.set_has_keys(true);
    stage
}

/// Until when the key in `slot` rests, seconds from now.
fn rests(stage: &Stage, slot: usize) -> Option<u64> {
    let until = stage.stock.spared_until(SlotIndex::new(slot))?;
    Some((until - boot_millis()).div_ceil(1000))
}

#[tokio::test]
async fn a_used_up_key_rests_and_its_request_goes_on_with_another() {
    let stage = with_keys(2).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("Bearer token-0-1\r\n"));
    assert_eq!(upstream.exactly(5).await, "hello");
    upstream.send(USED_UP).await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("Bearer token-1-1\r\n"));
    assert_eq!(upstream.exactly(5).await, "hello");
    upstream.send(OK).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    let seconds = rests(&stage, 0).unwrap();
    assert!((25..=30).contains(&seconds), "{seconds}");
    assert_eq!(rests(&stage, 1), None);
    until("it is told", || !stage.stock.region().suspects().is_empty()).await;
    drop(client);
    until("one is lent no more", || {
        stage.stock.pool().census().usable == 1
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_kept_gets_the_answer_and_the_key_rests_all_the_same() {
    let stage = with_keys(2).await;
    let mut client = stage.client().await;
    let long = 200_000;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {long}\r\n\r\n{}",
            "x".repeat(long)
        ))
        .await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("Bearer token-0-1\r\n"));
    assert_eq!(upstream.exactly(long).await.len(), long);
    upstream.send(USED_UP).await;
    assert!(client.head().await.starts_with("HTTP/1.1 429 "));
    assert_eq!(client.exactly(2).await, "no");
    assert!(rests(&stage, 0).is_some());
    // The next one of this connection does not have it.
    client.send(GET).await;
    assert!(upstream.head().await.contains("Bearer token-1-1\r\n"));
    upstream.send(OK).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn without_a_time_and_without_keys_the_answer_is_passed_on() {
    for (has_keys, answer) in [
        (false, USED_UP),
        (
            true,
            "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno",
        ),
        (
            true,
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\nno",
        ),
    ] {
        let stage = Stage::new(2, |_| {}).await;
        stage.stock.set_has_keys(has_keys);
        let mut client = stage.client().await;
        client.send(GET).await;
        let mut upstream = stage.upstream().await;
        upstream.head().await;
        upstream.send(answer).await;
        let status = answer.split(' ').nth(1).unwrap();
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(rests(&stage, 0), None, "{answer}");
    }
}

#[tokio::test]
async fn a_connection_whose_key_rests_goes_on_with_another() {
    let stage = with_keys(2).await;
    let mut client = stage.client().await;
    for (key, rest) in [("token-0-1", true), ("token-1-1", false)] {
        client.send(GET).await;
        let mut upstream = stage.upstream().await;
        let head = upstream.head().await;
        assert!(head.contains(&format!("Bearer {key}\r\n")), "{head}");
        upstream
            .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 204 "));
        assert!(!head.contains("close"), "the connection goes on: {head}");
        if rest {
            stage.stock.spare(SlotIndex::new(0), boot_millis() + 60_000);
        }
    }
}

#[tokio::test]
async fn when_all_keys_rest_clients_are_told_how_long() {
    let stage = with_keys(1).await;
    stage.stock.spare(SlotIndex::new(0), boot_millis() + 60_000);
    let mut client = stage.client().await;
    client.send(GET).await;
    stage.waiting(1).await;
    let until = boot_millis() + 17_000;
    stage.stock.set_hopeless(Some(Hopeless::Spared(until)));
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let told = head.split_once("Retry-After: ").unwrap().1;
    let told: u64 = told.split("\r\n").next().unwrap().parse().unwrap();
    assert!((1..=17).contains(&told), "{head}");
}

#[tokio::test]
async fn a_key_stands_in_the_header_that_the_server_wants_and_there_alone() {
    let stage = with_keys(1).await;
    stage.put_in_force(|plan| {
        plan.pools[0].inject.header = "X-Api-Key".to_owned();
        plan.pools[0].inject.prefix = String::new();
    });
    let mut client = stage.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: a\r\nx-api-key: mine\r\nX_API_KEY: mine too\r\nX-Api-Keys: 7\r\n\
             Authorization: Bearer mine\r\n\r\n",
        )
        .await;
    let mut upstream = stage.upstream().await;
    let head = upstream.head().await;
    assert!(head.contains("\r\nX-Api-Key: token-0-1\r\n"), "{head}");
    assert!(!head.contains("mine"), "{head}");
    assert!(head.contains("\r\nX-Api-Keys: 7\r\n"), "{head}");
    upstream.send(OK).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
}
