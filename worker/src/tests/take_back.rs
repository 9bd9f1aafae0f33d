//! What the supervisor takes back: one lease, all lending for a while.

use tpp::{config::Abandoned, ids::SlotIndex};

use super::play::Stage;

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
async fn a_paused_pool_has_clients_wait() {
    let stage = Stage::new(1, |_| {}).await;
    stage.stock.pause();
    let mut client = stage.client().await;
    client.send(GET).await;
    stage.waiting(1).await;
    stage.stock.resume();
    assert!(stage.upstream().await.head().await.contains("token-0-1"));
}
