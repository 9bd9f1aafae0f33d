//! A lease held too long is back when its time and its grace are over, whatever its client waits for, or is waited for in.
//! No other bound is set here.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::sleep;
use tpp::{
    config::Abandoned,
    lending::{Lease, WorkerSettings},
    shared::WaitEnd::{ClientHead, HalfClosed, Hold},
};

use super::{
    memory::{End, Memory},
    play::{GET, settings},
};

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
/// What tpp answers by itself.
const LOGIN: &str = "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// A worker that knows no bound but that of the lease.
fn holding(hold: u64, grace: u64, change: impl FnOnce(&mut WorkerSettings)) -> Memory {
    Memory::new(|bounds| {
        *bounds = settings(1);
        bounds.upstream.idle_timeout = FOR_EVER;
        bounds.token.login_timeout = FOR_EVER;
        bounds.token.login_from_clients = false;
        bounds.lease.max_hold = Some(Duration::from_secs(hold));
        bounds.lease.max_hold_grace = Duration::from_secs(grace);
        change(bounds);
    })
}

/// A client that has had an answer, and so has the token.
async fn served(memory: &mut Memory) -> (End, End) {
    let (mut client, mut upstream) = memory.asked(GET).await;
    upstream.send(NO_CONTENT).await;
    client.head().await;
    (client, upstream)
}

/// One request may be under way at the host, and is: until what is returned is dropped.
fn full_host(memory: &mut Memory) -> Lease {
    memory.one_permit().try_lease().unwrap()
}

/// Where a client stays with a token.
#[derive(Debug, Clone, Copy)]
enum Blocker {
    /// It ends no head.
    Head,
    /// As many requests as may be are under way at its host.
    Queue,
    /// No login comes in place of a token that was refused.
    Renewal,
    /// It reads no answer of tpp's own.
    Flush,
    /// It reads no answer of the upstream's.
    Answer,
    /// The upstream does not answer.
    Upstream,
}

/// Plays until `blocker` does nothing more.
async fn block(memory: &mut Memory, blocker: Blocker) {
    match blocker {
        Blocker::Head => {
            let (mut client, upstream) = served(memory).await;
            client.send("GET / HTT").await;
            keep(memory, (client, upstream));
        }
        Blocker::Queue => {
            let full = full_host(memory);
            let mut client = memory.client();
            client.send(GET).await;
            while memory.stock.pool().census().in_use == 0 {
                sleep(Duration::from_millis(10)).await;
            }
            keep(memory, (client, full));
        }
        Blocker::Renewal => {
            let (client, mut upstream) = memory.asked(GET).await;
            upstream
                .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                .await;
            keep(memory, (client, upstream));
        }
        Blocker::Flush => {
            let (mut client, upstream) = served(memory).await;
            memory.play(async move {
                while client.send(LOGIN.repeat(100)).await {}
                std::future::pending::<()>().await;
                drop(upstream);
            });
        }
        Blocker::Answer => {
            let (client, mut upstream) = memory.asked(GET).await;
            upstream
                .send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                .await;
            memory.play(async move {
                while upstream.send([b'x'; 10_000]).await {}
                std::future::pending::<()>().await;
                drop(client);
            });
        }
        Blocker::Upstream => {
            let ends = memory.asked(GET).await;
            keep(memory, ends);
        }
    }
}

/// Keeps `what` to the test's end.
fn keep(memory: &mut Memory, what: impl Send + 'static) {
    memory.play(async move {
        std::future::pending::<()>().await;
        drop(what);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_lease_is_back_after_its_hold_and_grace_whatever_blocks(
        blocker in prop_oneof![
            Just(Blocker::Head),
            Just(Blocker::Queue),
            Just(Blocker::Renewal),
            Just(Blocker::Flush),
            Just(Blocker::Answer),
            Just(Blocker::Upstream),
        ],
        hold in 1_u64..100,
        grace in 0_u64..50,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (ended, seconds) = runtime.block_on(async {
            let mut memory = holding(hold, grace, |_| {});
            block(&mut memory, blocker).await;
            memory.slot_is_free().await;
            (memory.ended(), memory.seconds())
        });
        prop_assert_eq!(ended, [Hold]);
        let bound = hold + grace;
        prop_assert!((bound..bound + 3).contains(&seconds), "after {} s instead of {}", seconds, bound);
    }
}

#[tokio::test(start_paused = true)]
async fn who_held_a_token_too_long_is_told_and_asks_no_more_on_that_connection() {
    for blocker in [Blocker::Queue, Blocker::Renewal] {
        let mut memory = holding(10, 5, |bounds| bounds.lease.abandoned = Abandoned::Wait);
        let full = matches!(blocker, Blocker::Queue).then(|| full_host(&mut memory));
        let (mut client, mut upstream) = (memory.client(), memory.upstream());
        client.send(GET).await;
        if full.is_none() {
            upstream.head().await;
            upstream
                .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        let answer = client.rest().await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(answer.contains("lease.max_hold_seconds"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(memory.ended(), [Hold]);
        drop(full);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_for_no_longer_where_there_is_no_token() {
    let mut memory = holding(10, 5, |_| {});
    memory.without_tokens();
    let permits = memory.one_permit();
    let (mut client, _upstream) = memory.asked(GET).await;
    assert!(permits.try_lease().is_none(), "it has the only one");
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(memory.ended(), [Hold]);
    assert!((15..18).contains(&memory.seconds()));
    assert!(permits.try_lease().is_some(), "and it is back");
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_hosts_queue_gives_the_token_of_its_connection_to_who_waits_for_one() {
    let mut memory = holding(10, 5, |_| {});
    let full = full_host(&mut memory);
    let mut first = memory.client();
    first.send(GET).await;
    sleep(Duration::from_secs(1)).await;
    let (mut second, mut upstream) = (memory.client(), memory.upstream());
    second.send(GET).await;
    sleep(Duration::from_secs(16)).await;
    drop(full);
    upstream.head().await;
    upstream.send(NO_CONTENT).await;
    assert!(second.head().await.starts_with("HTTP/1.1 204 "));
    assert_eq!(memory.ended(), [Hold]);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_ends_in_the_grace_is_answered_and_the_connection_ends() {
    let mut memory = holding(10, 5, |_| {});
    let (mut client, mut upstream) = served(&mut memory).await;
    client.send("GET / HTT").await;
    sleep(Duration::from_secs(13)).await;
    client.send("P/1.1\r\nHost: a\r\n\r\n").await;
    upstream.head().await;
    upstream.send(NO_CONTENT).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert!(memory.ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_no_head_gets_408_and_its_token_is_back() {
    let mut memory = Memory::new(|_| {});
    let (mut client, _upstream) = served(&mut memory).await;
    client.send("GET / HTT").await;
    assert!(client.head().await.starts_with("HTTP/1.1 408 "));
    memory.slot_is_free().await;
    assert_eq!(memory.ended(), [ClientHead]);
    assert!((60..63).contains(&memory.seconds()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ended_its_side_is_waited_for_no_longer_than_one_that_left() {
    let mut memory = Memory::new(|bounds| bounds.upstream.response_header_timeout = None);
    let (mut client, _upstream) = memory.asked(GET).await;
    client.finish().await;
    assert_eq!(client.rest().await, b"");
    memory.slot_is_free().await;
    assert_eq!(memory.ended(), [HalfClosed]);
    assert!((30..33).contains(&memory.seconds()));
}
