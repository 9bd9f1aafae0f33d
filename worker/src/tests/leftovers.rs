//! What the upstream still does for one who left or waited too long: its token meets nobody else's request.

use std::time::Duration;

use tokio::time::sleep;
use tpp::{
    config::{Abandoned, LeaseMode, Reset},
    shared::WaitEnd,
};

use super::{
    memory::{End, Memory},
    play::GET,
};

/// A request that waited too long for its answer, under `mode`.
async fn late(mode: Abandoned) -> (Memory, End, End) {
    let mut memory = Memory::new(|settings| {
        settings.lease.mode = LeaseMode::Request;
        settings.lease.abandoned = mode;
    });
    let (mut client, upstream) = memory.asked(GET).await;
    assert!(client.head().await.starts_with("HTTP/1.1 504 "));
    (memory, client, upstream)
}

#[tokio::test(start_paused = true)]
async fn the_token_goes_on_when_the_answer_that_nobody_waits_for_has_ended() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n0\r\n\r\n",
    ] {
        let (memory, _client, mut upstream) = late(Abandoned::Wait).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(memory.stock.pool().census().in_use, 1);
        upstream.send(answer).await;
        memory.slot_is_free().await;
        assert!(!memory.is_spent() && memory.worker.desk.try_lease().is_some());
        // The connection is good for the next one.
        let mut memory = memory;
        let mut client = memory.client();
        client.send(GET).await;
        assert!(upstream.head().await.starts_with("GET / "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_answer_does_not_end_is_lent_after_a_fresh_login_only() {
    for breaks_off in [false, true] {
        let (memory, _client, upstream) = late(Abandoned::Wait).await;
        let upstream = (!breaks_off).then_some(upstream);
        memory.slot_is_free_or_out_of_use().await;
        assert!(memory.is_spent() && memory.worker.desk.try_lease().is_none());
        let mut ended = vec![WaitEnd::UpstreamHead];
        ended.extend((!breaks_off).then_some(WaitEnd::Abandoned));
        assert_eq!(memory.ended(), ended);
        drop(upstream);
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_is_spent_or_lent_on_at_once_where_the_mode_says_so() {
    let (memory, _client, _upstream) = late(Abandoned::Login).await;
    assert!(memory.is_spent() && memory.worker.desk.try_lease().is_none());
    let (memory, _client, _upstream) = late(Abandoned::Release).await;
    assert!(!memory.is_spent() && memory.worker.desk.try_lease().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_in_mid_answer_is_waited_for_in_its_stead() {
    let mut memory = Memory::new(|settings| settings.lease.abandoned = Abandoned::Wait);
    let (mut client, mut upstream) = memory.asked(GET).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        .await;
    client.head().await;
    drop(client);
    sleep(Duration::from_secs(1)).await;
    upstream.send(" ").await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(memory.stock.pool().census().in_use, 1);
    upstream.send("more").await;
    memory.slot_is_free().await;
    assert!(!memory.is_spent());
}

#[tokio::test(start_paused = true)]
async fn in_connection_mode_who_waited_too_long_keeps_neither_token_nor_connection() {
    let mut memory = Memory::new(|settings| settings.lease.abandoned = Abandoned::Wait);
    let (mut client, _upstream) = memory.asked(GET).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 504 ") && head.contains("\r\nConnection: close\r\n"),
        "{head}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_broke_off_leaves_nothing_to_wait_for() {
    let mut memory = Memory::new(|settings| settings.lease.abandoned = Abandoned::Wait);
    let (client, _upstream) = memory
        .asked(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nsome",
        )
        .await;
    drop(client);
    memory.slot_is_free().await;
    assert!(!memory.is_spent());
}

#[tokio::test(start_paused = true)]
async fn with_a_reset_by_login_each_lease_ends_with_a_spent_token() {
    let mut memory = Memory::new(|settings| settings.lease.reset = Reset::Login);
    let (mut client, mut upstream) = memory.asked(GET).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    assert!(!memory.is_spent());
    drop(client);
    memory.slot_is_free_or_out_of_use().await;
    assert!(memory.is_spent());
}
