//! Deadlines of slots that this host shares with others, as clients meet them.

use tpp::{
    clock::boot_millis,
    config::LeaseMode,
    ids::SlotIndex,
    shared::{Deadlines, Tenure},
};

use super::play::{ORIGIN, Stage};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const HOUR: u64 = 3_600_000;

/// A stage with as many slots as there are `tenures`, all lent for an hour.
async fn shared(tenures: &[Tenure], mode: LeaseMode) -> Stage {
    let stage = Stage::new(tenures.len(), |settings| settings.lease.mode = mode).await;
    for (slot, &tenure) in tenures.iter().enumerate() {
        let index = SlotIndex::new(slot);
        stage.stock.take_out_of_use(index);
        assert!(stage.stock.set_tenure(index, Some(tenure)));
        let token = format!("token-{slot}-1");
        stage
            .stock
            .install(index, token.as_bytes(), ORIGIN)
            .unwrap();
        set(&stage, tenure, HOUR, HOUR);
    }
    stage
}

/// Lends for so many milliseconds, and cuts after so many. Nobody is killed: it would be the test.
fn set(stage: &Stage, tenure: Tenure, lend: u64, cut: u64) {
    let now = boot_millis();
    let deadlines = Deadlines {
        lend_until: now + lend,
        cut_at: now + cut,
        kill_at: now + 2 * HOUR,
    };
    stage.stock.set_deadlines(tenure, deadlines);
}

#[tokio::test]
async fn no_request_is_stamped_after_the_deadline() {
    let stage = shared(&[Tenure::Floating], LeaseMode::Request).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    set(&stage, Tenure::Floating, 0, HOUR);
    upstream.send(EMPTY).await;
    let answer = client.head().await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "it was under way"
    );
    assert!(answer.contains("Connection: close"), "{answer}");
    let mut next = stage.client().await;
    next.send(GET).await;
    stage.waiting(1).await;
    set(&stage, Tenure::Floating, HOUR, HOUR);
    assert!(upstream.head().await.contains("token-0-1"));
}

#[tokio::test]
async fn what_the_host_keeps_serves_on_when_the_rest_has_lapsed() {
    let stage = shared(&[Tenure::Floating, Tenure::Home], LeaseMode::Request).await;
    set(&stage, Tenure::Floating, 0, 0);
    for _ in 0..3 {
        let mut client = stage.client().await;
        client.send(GET).await;
        let mut upstream = stage.upstream().await;
        assert!(upstream.head().await.contains("token-1-1"));
        upstream
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
        let answer = client.head().await;
        assert!(!answer.contains("Connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_of_a_lapsed_slot_is_closed() {
    let stage = shared(&[Tenure::Floating, Tenure::Home], LeaseMode::Connection).await;
    let (mut one, mut two) = (stage.client().await, stage.client().await);
    for client in [&mut one, &mut two] {
        let mut upstream = stage.asked(client, GET).await;
        upstream.send(EMPTY).await;
        client.head().await;
    }
    stage.in_use(2).await;
    // Nobody is told anything when it comes: the worker looks by itself.
    set(&stage, Tenure::Floating, 50, HOUR);
    assert_eq!(one.rest().await, "");
    stage.in_use(1).await;
    two.send(GET).await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("token-1-1"));
}

#[tokio::test]
async fn what_is_under_way_is_cut_when_its_time_has_come() {
    let stage = shared(&[Tenure::Floating, Tenure::Home], LeaseMode::Connection).await;
    let (mut client, mut at_home) = (stage.client().await, stage.client().await);
    let mut cut_off = stage.asked(&mut client, GET).await;
    let mut upstream = stage.asked(&mut at_home, GET).await;
    set(&stage, Tenure::Floating, 20, 50);
    assert_eq!(client.rest().await, "");
    assert!(
        cut_off.ends_by_a_reset().await,
        "nothing is sent afterwards"
    );
    stage.in_use(1).await;
    let counts = stage.stock.counts().unwrap();
    assert_eq!(counts.cut, 1);
    assert!(
        stage.stock.is_spent(SlotIndex::new(0)),
        "what it was asked for may still go on there"
    );
    upstream.send(EMPTY).await;
    assert!(at_home.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}
