//! A token that the upstream refuses, and the one that takes its place.

use std::time::Duration;

use tpp::pool::SlotIndex;

use super::support::{Act, Bench, Seen, Upstream, eventually, ok, settings};

const REFUSAL: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nold";

fn refuses_the_first(seen: &Seen) -> Act {
    match seen.field("Authorization") {
        Some("Bearer first-0") => Act::Say(REFUSAL.to_vec()),
        _ => ok(&seen.body.len().to_string()),
    }
}

#[tokio::test]
async fn a_refused_token_is_not_the_clients_business() {
    let upstream = Upstream::scripted(refuses_the_first).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ] {
        bench.install(0, "first");
        let mut client = bench.connect().await;
        client.send(request).await;
        eventually(|| bench.stock.is_suspect(SlotIndex::new(0)), "the slot is suspect").await;
        bench.install(0, "second");
        let answer = client.answer().await;
        let length = if request.starts_with("GET") { "0" } else { "2" };
        assert_eq!((answer.status, answer.body.as_str()), (200, length));
        assert_eq!(client.get("/").await.status, 200, "the connection goes on");
        drop(client);
        bench.all_is_given_back().await;
    }
    assert_eq!(bench.totals().token_errors, 3);
}

#[tokio::test]
async fn a_refusal_that_no_login_mends_reaches_the_client() {
    let upstream = Upstream::scripted(|_| Act::Say(REFUSAL.to_vec())).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| bench.stock.is_suspect(SlotIndex::new(0)), "the slot is suspect").await;
    bench.stock.login_failed(SlotIndex::new(0));
    assert_eq!(client.answer().await.status, 401);
    // A second refusal, of the new token, passes too.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| upstream.seen().len() == 2, "it is sent").await;
    bench.install(0, "second");
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (401, "old"));
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn a_refusal_of_more_than_can_be_sent_again_passes_and_asks_for_a_login() {
    let upstream = Upstream::scripted(refuses_the_first).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    assert_eq!(client.post("/", &"x".repeat(100_000)).await.status, 401);
    assert!(bench.stock.is_suspect(SlotIndex::new(0)));
    bench.install(0, "second");
    assert_eq!(client.post("/", &"x".repeat(100_000)).await.body, "100000");
}

#[tokio::test]
async fn a_client_that_leaves_during_a_refresh_gives_its_slot_back() {
    let upstream = Upstream::scripted(refuses_the_first).await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut client = bench.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| bench.stock.is_suspect(SlotIndex::new(0)), "the slot is suspect").await;
    drop(client);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn a_refresh_that_never_ends_is_given_up() {
    let upstream = Upstream::scripted(refuses_the_first).await;
    let mut settings = settings();
    settings.login_timeout = Duration::ZERO;
    let bench = Bench::new(1, &[upstream.address], &settings);
    assert_eq!(bench.connect().await.get("/").await.status, 401);
}
