//! A request and its answer together take no longer than they may, whoever is waited for and whatever is held meanwhile. No other
//! bound is set here.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::sleep;
use tpp::{lending::WorkerSettings, shared::WaitEnd::Exchange};

use super::{
    bounds::{LENGTH, SWITCHED, UPGRADE},
    http2_client::{Client, STREAMS, served, text},
    memory::{End, Memory},
    play::{GET, settings},
};

const KEY: &str = "client.exchange_timeout_seconds";
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// A worker that knows no bound but that of an exchange.
fn bounded(seconds: u64, change: impl FnOnce(&mut WorkerSettings)) -> Memory {
    Memory::new(|bounds| {
        *bounds = settings(1);
        bounds.upstream.idle_timeout = FOR_EVER;
        bounds.token.login_timeout = FOR_EVER;
        bounds.client.exchange_timeout = Some(Duration::from_secs(seconds));
        change(bounds);
    })
}

/// Sends for as long as it is read.
async fn drip(mut end: End) {
    while end.send("x").await {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Whom a request waits for.
#[derive(Debug, Clone, Copy)]
enum Blocker {
    /// A client that sends its body in drips.
    Body,
    /// Somebody who has the only token.
    Line,
    /// Somebody who has the host's only permit.
    Queue,
    /// A login in place of a token that was refused.
    Renewal,
    /// An upstream that does not answer.
    Upstream,
    /// One that answers in drips.
    Answer,
    /// A client that reads its answer in drips.
    Reader,
    /// Both sides of a tunnel.
    Tunnel,
}

const BLOCKERS: [Blocker; 8] = [
    Blocker::Body,
    Blocker::Line,
    Blocker::Queue,
    Blocker::Renewal,
    Blocker::Upstream,
    Blocker::Answer,
    Blocker::Reader,
    Blocker::Tunnel,
];

/// Plays until the exchange has ended: what its client was told.
async fn told(memory: &mut Memory, blocker: Blocker) -> String {
    let mut client = memory.client();
    match blocker {
        Blocker::Body => {
            client
                .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")
                .await;
            while memory.ended().is_empty() {
                client.send("x").await;
                sleep(Duration::from_millis(100)).await;
            }
        }
        Blocker::Line => {
            let _taken = memory.worker.desk.try_lease().unwrap();
            return refused(client).await;
        }
        Blocker::Queue => {
            let _taken = memory.one_permit().try_lease().unwrap();
            return refused(client).await;
        }
        Blocker::Renewal => {
            answers(memory, 401);
            return refused(client).await;
        }
        Blocker::Upstream => {
            let _upstream = memory.upstream();
            return refused(client).await;
        }
        Blocker::Answer => drips(memory, &mut client, GET, LENGTH).await,
        Blocker::Tunnel => drips(memory, &mut client, UPGRADE, SWITCHED).await,
        Blocker::Reader => {
            let mut upstream = memory.upstream();
            client.send(GET).await;
            upstream.head().await;
            upstream.send(LENGTH).await;
            memory.play(async move { while upstream.send([b'x'; 10_000]).await {} });
            while memory.ended().is_empty() {
                client.some(1).await;
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
    String::from_utf8(client.rest().await).unwrap()
}

/// Asks, and is told by tpp alone.
async fn refused(mut client: End) -> String {
    client.send(GET).await;
    client.head().await + &client.through("}").await
}

/// The upstream answers the next request so, without a body.
fn answers(memory: &mut Memory, status: u16) {
    let mut upstream = memory.upstream();
    memory.play(async move {
        upstream.head().await;
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        upstream.send(answer).await;
        std::future::pending::<()>().await;
    });
}

/// The request is answered with this head, and drips follow.
async fn drips(memory: &mut Memory, client: &mut End, request: &str, head: &str) {
    let mut upstream = memory.upstream();
    client.send(request).await;
    upstream.head().await;
    upstream.send(head).await;
    memory.play(drip(upstream));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_exchange_ends_in_time_whoever_it_waits_for(
        blocker in prop::sample::select(&BLOCKERS[..]),
        bound in 2_u64..100,
        has_tokens in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let needs_token = matches!(blocker, Blocker::Line | Blocker::Renewal);
        let (told, ended, seconds) = runtime.block_on(async {
            let mut memory = bounded(bound, |_| {});
            if !has_tokens && !needs_token {
                memory.without_tokens();
            }
            let told = told(&mut memory, blocker).await;
            memory.slot_is_free_or_out_of_use().await;
            (told, memory.ended(), memory.seconds())
        });
        prop_assert_eq!(ended, [Exchange]);
        prop_assert!((bound..bound + 3).contains(&seconds), "after {} s instead of {}", seconds, bound);
        match blocker {
            Blocker::Answer => prop_assert!(told.starts_with("HTTP/1.1 200 "), "{}", told),
            Blocker::Tunnel => prop_assert!(told.starts_with("HTTP/1.1 101 "), "{}", told),
            Blocker::Reader => {}
            _ => prop_assert!(told.starts_with("HTTP/1.1 504 ") && told.contains(KEY), "{}", told),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_connection_has_the_whole_time() {
    let mut memory = bounded(10, |_| {});
    let (mut client, mut upstream) = (memory.client(), memory.upstream());
    for _ in 0..4 {
        client.send(GET).await;
        upstream.head().await;
        sleep(Duration::from_secs(8)).await;
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 204 "));
        // Time between requests is no request's.
        sleep(Duration::from_secs(20)).await;
    }
    assert!(memory.ended().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hosts_own_bound_stands_in_place_of_all_clients() {
    for (own, after) in [(Some(20), Some(20)), (Some(0), None), (None, Some(10))] {
        let mut memory = bounded(10, |_| {});
        memory.put_in_force(|plan| {
            plan.hosts[0].host.timeouts.exchange.0 = own.map(Duration::from_secs);
        });
        let (mut client, mut upstream) = memory.asked(GET).await;
        match after {
            Some(after) => {
                let head = client.head().await;
                assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
                let seconds = memory.seconds();
                assert!((after..after + 3).contains(&seconds), "{seconds} {after}");
                assert_eq!(memory.ended(), [Exchange]);
            }
            None => {
                sleep(Duration::from_secs(1000)).await;
                upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
                assert!(client.head().await.starts_with("HTTP/1.1 204 "));
                assert!(memory.ended().is_empty());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_in_time_and_the_others_of_its_connection_go_on() {
    for has_tokens in [true, false] {
        let mut memory = bounded(10, |_| {});
        if !has_tokens {
            memory.without_tokens();
        }
        let (ours, side) = served(&memory.worker, STREAMS);
        memory.play(side);
        let mut client = Client::over(ours).await;
        let mut upstream = memory.upstream();
        let answer = client.get("/").await;
        upstream.head().await;
        upstream.send(LENGTH).await;
        memory.play(drip(upstream));
        let mut answer = answer.await.unwrap().into_body();
        let error = text(&mut answer).await.unwrap_err();
        assert!(error.is_reset(), "{error}");
        assert_eq!(memory.ended(), [Exchange]);
        assert!((10..13).contains(&memory.seconds()));
        let mut upstream = memory.upstream();
        let next = client.get("/").await;
        upstream.head().await;
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(next.await.unwrap().status(), 204);
    }
}
