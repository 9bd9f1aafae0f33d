//! What the supervisor takes back: one lease, a pool's tokens at a time, all lending for a while.

use tpp::{clock::monotonic_millis, config::Abandoned, ids::SlotIndex};

use super::play::{ORIGIN, Stage};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn an_idle_connection_whose_lease_is_taken_back_ends() {
    let stage = Stage::new(2, |_| {}).await;
    let (mut one, mut two) = (stage.client().await, stage.client().await);
    one.send(GET).await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("token-0-1"));
    two.send(GET).await;
    let mut other = stage.upstream().await;
    other.head().await;
    assert!(stage.stock.end_lease(SlotIndex::new(0)));
    assert_eq!(one.rest().await, "", "in the middle of its request");
    stage.in_use(1).await;
    assert!(
        stage.stock.is_spent(SlotIndex::new(0)),
        "not lent on as it is"
    );
    other
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(two.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(stage.stock.end_lease(SlotIndex::new(1)));
    assert_eq!(two.rest().await, "", "between two requests");
    stage.in_use(0).await;
}

#[tokio::test]
async fn what_is_left_of_an_answer_is_taken_back_as_well() {
    let stage = Stage::new(1, |settings| {
        settings.lease.abandoned = Abandoned::Wait;
        settings.lease.abandoned_wait = std::time::Duration::from_secs(3600);
    })
    .await;
    let mut client = stage.client().await;
    let _upstream = stage.asked(&mut client, GET).await;
    client.reset();
    super::play::until("nobody is there", || stage.worker.connections() == 0).await;
    assert_eq!(stage.stock.pool().leases_of(stage.worker.desk.seat()), 1);
    assert!(stage.stock.end_lease(SlotIndex::new(0)));
    super::play::until("it is free", || {
        stage.stock.pool().leases_of(stage.worker.desk.seat()) == 0
    })
    .await;
}

#[tokio::test]
async fn no_request_is_stamped_after_the_deadline() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    stage.stock.set_deadlines(Some(monotonic_millis()), None);
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(
        client.head().await.starts_with("HTTP/1.1 200 OK\r\n"),
        "it was under way"
    );
    client.send(GET).await;
    assert!(client.head().await.starts_with("HTTP/1.1 503 "));
    stage.in_use(0).await;
    stage.stock.set_deadlines(None, None);
    let mut client = stage.client().await;
    client.send(GET).await;
    assert!(stage.upstream().await.head().await.contains("token-0-1"));
}

#[tokio::test]
async fn what_is_under_way_is_cut_when_its_time_has_come() {
    let stage = Stage::new(1, |_| {}).await;
    let (mut client, mut idle) = (stage.client().await, stage.client().await);
    let _upstream = stage.asked(&mut client, GET).await;
    // Nobody is told anything when it comes: the worker looks by itself.
    let soon = Some(monotonic_millis() + 50);
    stage.stock.set_deadlines(soon, soon);
    assert_eq!(client.rest().await, "");
    stage.in_use(0).await;
    stage.stock.set_deadlines(None, None);
    stage
        .stock
        .install(SlotIndex::new(0), b"token-0-2", ORIGIN)
        .unwrap();
    idle.send(GET).await;
    let head = stage.upstream().await.head().await;
    assert!(
        head.contains("token-0-2"),
        "who held nothing was left alone"
    );
}

#[tokio::test]
async fn a_paused_pool_has_clients_wait() {
    let stage = Stage::new(1, |_| {}).await;
    stage.stock.pause();
    let mut client = stage.client().await;
    client.send(GET).await;
    stage.waiting(1).await;
    stage.stock.resume();
    assert!(stage.upstream().await.head().await.contains("token-0-1"));
}
