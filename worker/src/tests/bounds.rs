//! Whoever keeps a token waiting is named, and does so for as long as its bound says and no longer.

mod culprits;

use std::time::Duration;

use tokio::time::sleep;
use tpp::shared::WaitEnd::{self, *};

use super::memory::{End, Memory};
use super::play::GET;

const OLD_GET: &str = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n";
pub(super) const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
pub(super) const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// The head of an answer that hardly ends.
pub(super) const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";

/// The heads of an endless answer in each framing, with the request that gets it.
const FRAMINGS: [(&str, &str, &str); 3] = [
    (GET, LENGTH, "xxxxxxxxxxxxxxxx"),
    (
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "e\r\nxxxxxxxxxxxxxx\r\n",
    ),
    (OLD_GET, "HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx"),
];

/// Sends the same over and over, as long as somebody takes it.
async fn pour(mut upstream: End, piece: &'static str) {
    while upstream.send(piece.repeat(1000)).await {}
}

#[track_caller]
fn assert_within(memory: &Memory, seconds: u64, end: WaitEnd) {
    assert_eq!(memory.ended(), [end]);
    let took = memory.seconds();
    assert!(
        (seconds..seconds + 3).contains(&took),
        "after {took} s instead of {seconds}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_left_after_its_time_to_stall() {
    for (request, head, piece) in FRAMINGS {
        let mut memory = Memory::new(|_| {});
        let (mut client, mut upstream) = memory.asked(request).await;
        upstream.send(head).await;
        memory.play(pour(upstream, piece));
        client.head().await;
        memory.slot_is_free().await;
        assert_within(&memory, 60, ClientReadsNothing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_little_now_and_then_is_left_for_a_drip() {
    for (request, head, piece) in FRAMINGS {
        let mut memory = Memory::new(|_| {});
        let (mut client, mut upstream) = memory.asked(request).await;
        upstream.send(head).await;
        memory.play(pour(upstream, piece));
        memory.play(async move {
            while client.some(50).await > 0 {
                sleep(Duration::from_secs(1)).await;
            }
        });
        memory.slot_is_free().await;
        assert_within(&memory, 6, ClientReadsSlowly);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_but_steadily_gets_all() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = memory.asked(GET).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        .await;
    memory.play(async move {
        upstream.send(vec![b'x'; 400_000]).await;
        std::future::pending().await
    });
    client.head().await;
    let mut read = 0;
    while read < 400_000 {
        if client.is_empty() {
            // A pause that is shorter than the time to stall, though far beyond the first seconds.
            sleep(Duration::from_secs(40)).await;
        }
        let some = client.some(20_000).await;
        assert!(some > 0, "cut after {read} bytes");
        read += some;
    }
    assert!(memory.ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_token_is_lent_before_the_body_is_in() {
    for (pause, reason, after) in [
        (500, ClientSendsSlowly, 5),
        (70_000, ClientSendsNothing, 60),
    ] {
        let mut memory = Memory::new(|_| {});
        let mut client = memory.client();
        client.send(format!("{UPLOAD}\r\n")).await;
        while client.send("x").await && memory.ended().is_empty() {
            assert_eq!(memory.stock.totals().acquisitions, 0);
            sleep(Duration::from_millis(pause)).await;
        }
        let answer = client.rest().await;
        assert!(
            answer.starts_with(b"HTTP/1.1 408 "),
            "{}",
            answer.escape_ascii()
        );
        assert_eq!(memory.ended(), [reason]);
        assert!(memory.seconds() >= after);
        assert_eq!(memory.stock.totals().acquisitions, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_its_body_gives_its_token_back() {
    for (pause, reason, after) in [
        (500, ClientSendsSlowly, 5),
        (70_000, ClientSendsNothing, 60),
    ] {
        let mut memory = Memory::new(|_| {});
        let (mut client, mut upstream) = memory
            .asked(format!("{UPLOAD}Expect: 100-continue\r\n\r\n"))
            .await;
        upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        client.head().await;
        memory.play(async move {
            while client.send("x").await {
                sleep(Duration::from_millis(pause)).await;
            }
        });
        memory.slot_is_free().await;
        assert_within(&memory, after, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_a_word_is_not_the_one_who_stalls() {
    let mut memory = Memory::new(|_| {});
    let (mut client, _upstream) = memory
        .asked(format!("{UPLOAD}Expect: 100-continue\r\n\r\n"))
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 504 "));
    assert_within(&memory, 30, UpstreamHead);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_answer_is_named_with_its_key() {
    let mut memory = Memory::new(|_| {});
    let (mut client, _upstream) = memory.asked(GET).await;
    assert!(client.head().await.starts_with("HTTP/1.1 504 "));
    let body = client.through("}").await;
    assert!(
        body.contains("upstream.response_header_timeout_seconds"),
        "{body}"
    );
    assert_within(&memory, 30, UpstreamHead);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_falls_silent_in_its_answer_is_cut() {
    for (request, head, piece) in FRAMINGS {
        let mut memory = Memory::new(|_| {});
        let (mut client, mut upstream) = memory.asked(request).await;
        upstream.send(head).await;
        upstream.send(piece).await;
        client.rest().await;
        memory.slot_is_free().await;
        assert_within(&memory, 300, UpstreamSendsNothing);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_no_request_is_left() {
    let mut memory = Memory::new(|_| {});
    let (mut client, upstream) = (memory.client(), memory.upstream());
    client.send(format!("{UPLOAD}\r\n")).await;
    memory.play(async move {
        client.send(vec![b'x'; 1_000_000]).await;
        std::future::pending().await
    });
    memory.slot_is_free().await;
    sleep(Duration::from_secs(40)).await;
    memory.slot_is_free().await;
    assert_eq!(memory.ended(), [UpstreamReadsNothing]);
    drop(upstream);
}

#[tokio::test(start_paused = true)]
async fn the_tail_of_an_upload_is_not_left_in_a_layer_below() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = (memory.client(), memory.upstream_behind_a_buffer());
    let body = vec![b'x'; 200_000];
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
        .await;
    memory.play(async move {
        client.send(&body).await;
        std::future::pending().await
    });
    let head = upstream.head().await;
    assert!(head.contains("Content-Length: 200000"));
    let mut read = 0;
    while read < 200_000 {
        // Slower than the client.
        sleep(Duration::from_millis(10)).await;
        let some = upstream.some(4096).await;
        assert!(some > 0, "cut after {read} bytes");
        read += some;
    }
    assert!(memory.ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_tunnel_is_closed() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = tunnel(&mut memory).await;
    client.send("one").await;
    upstream.through("one").await;
    sleep(Duration::from_secs(3000)).await;
    upstream.send("two").await;
    client.through("two").await;
    memory.slot_is_free().await;
    assert_within(&memory, 6600, Tunnel);
}

/// A tunnel, opened.
async fn tunnel(memory: &mut Memory) -> (End, End) {
    let (mut client, mut upstream) = memory.asked(UPGRADE).await;
    upstream.send(SWITCHED).await;
    client.head().await;
    (client, upstream)
}

#[tokio::test(start_paused = true)]
async fn the_last_words_in_a_tunnel_arrive_from_either_side() {
    for client_ends in [true, false] {
        let mut memory = Memory::new(|_| {});
        let (client, upstream) = tunnel(&mut memory).await;
        let (mut one, mut other) = if client_ends {
            (client, upstream)
        } else {
            (upstream, client)
        };
        // The words and the end come in one breath.
        one.send("last words").await;
        one.finish().await;
        assert_eq!(other.rest().await, b"last words");
        other.send("farewell").await;
        other.finish().await;
        assert_eq!(one.rest().await, b"farewell");
        memory.slot_is_free().await;
        assert!(memory.ended().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_tunnel_does_not_hold_a_token_for_long() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = tunnel(&mut memory).await;
    client.finish().await;
    assert_eq!(upstream.rest().await, b"");
    memory.slot_is_free().await;
    assert_within(&memory, 10, Tunnel);
}

#[tokio::test(start_paused = true)]
async fn a_lease_held_too_long_has_a_grace_and_is_cut_then() {
    for is_tunnel in [false, true] {
        let mut memory = Memory::new(|settings| {
            settings.lease.max_hold = Some(Duration::from_secs(10));
            settings.lease.max_hold_grace = Duration::from_secs(5);
        });
        let (mut client, mut upstream) = memory.asked(if is_tunnel { UPGRADE } else { GET }).await;
        upstream
            .send(if is_tunnel { SWITCHED } else { LENGTH })
            .await;
        memory.play(async move {
            while upstream.send([b'x'; 1000]).await {
                sleep(Duration::from_secs(1)).await;
            }
        });
        memory.play(async move {
            client.rest().await;
        });
        memory.slot_is_free().await;
        assert_within(&memory, 15, Hold);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ended_its_side_gets_an_answer_that_is_under_way() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = (memory.client(), memory.upstream());
    client.send(GET).await;
    client.finish().await;
    upstream.head().await;
    sleep(Duration::from_secs(20)).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert!(client.rest().await.ends_with(b"\r\n\r\nok"));
    assert!(memory.ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_reaches_a_client_that_goes_on_sending() {
    let mut memory = Memory::new(|_| {});
    let (mut client, mut upstream) = memory
        .asked(format!("{UPLOAD}Expect: 100-continue\r\n\r\n"))
        .await;
    upstream
        .send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await;
    for _ in 0..20 {
        sleep(Duration::from_secs(1)).await;
        assert!(client.send([b'x'; 10_000]).await, "it is still listened to");
    }
    assert_eq!(memory.stock.pool().census().in_use, 0, "without the token");
    assert!(client.rest().await.ends_with(b"big"));
}
