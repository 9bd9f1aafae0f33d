//! More clients than slots: who asks nothing gives way; who waits is not thrown out by the end of a drain.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::play::{GET, Peer, Stage, soon, until};
use crate::life::drain::{Cause, drain};

const BRIEF: Duration = Duration::from_millis(200);

/// A worker over `slots` slots that lets those give way that are idle for a moment.
async fn crowded(slots: usize) -> Stage {
    let mut stage = Stage::new(slots, |settings| {
        settings.lease.contended_idle = Some(BRIEF)
    })
    .await;
    stage.answer_all().await;
    stage
}

/// A client that had an answer and asks nothing now.
async fn idle(stage: &Stage) -> Peer {
    let mut client = stage.client().await;
    client.send(GET).await;
    client.head().await;
    client
}

#[tokio::test]
async fn while_somebody_waits_the_longest_idle_gives_way_and_no_other() {
    let stage = crowded(2).await;
    let mut first = idle(&stage).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut second = idle(&stage).await;
    let mut waits = stage.client().await;
    waits.send(GET).await;
    assert!(waits.head().await.starts_with("HTTP/1.1 204 "));
    assert_eq!(first.rest().await, "", "closed without a word");
    second.send(GET).await;
    assert!(second.head().await.starts_with("HTTP/1.1 204 "));
    assert_eq!(stage.stock.totals().acquisitions, 3);
}

#[tokio::test]
async fn the_longest_idle_gives_way_whichever_worker_has_it_and_whichever_the_one_who_waits() {
    let mut stage = crowded(2).await;
    let mut first = idle(&stage).await;
    let other = stage.second_worker();
    // Connections go to the worker with fewer of them.
    until("the second worker is counted on", || {
        stage.worker.desk.fewest_connections() == Some(0)
    })
    .await;
    let _second = idle(&stage).await;
    until("each worker has one", || {
        (stage.worker.connections(), other.connections()) == (1, 1)
    })
    .await;
    let mut waits = Vec::new();
    for _ in 0..2 {
        let mut client = stage.client().await;
        client.send(GET).await;
        waits.push(client);
    }
    for client in &mut waits {
        assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    }
    assert_eq!(first.rest().await, "");
}

#[tokio::test]
async fn as_long_as_nobody_waits_nobody_gives_way() {
    let stage = crowded(2).await;
    let mut client = idle(&stage).await;
    tokio::time::sleep(BRIEF * 2).await;
    client.send(GET).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    assert_eq!(stage.stock.totals().acquisitions, 1);
}

#[tokio::test]
async fn a_connection_at_work_does_not_give_way() {
    let stage = Stage::new(1, |settings| settings.lease.contended_idle = Some(BRIEF)).await;
    let (mut works, mut waits) = (stage.client().await, stage.client().await);
    works.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    waits.send(GET).await;
    stage.waiting(1).await;
    tokio::time::sleep(BRIEF * 2).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(works.head().await.starts_with("HTTP/1.1 204 "));
}

/// The worker drains for `cause`; resolves when it has.
fn begin_drain(stage: &mut Stage, cause: Cause) -> oneshot::Receiver<()> {
    let worker = Arc::clone(&stage.worker);
    let (ended, end) = oneshot::channel();
    let (deposed, was_deposed) = oneshot::channel();
    stage.play(async move {
        drain(&worker, cause, was_deposed).await;
        drop(deposed);
        let _ = ended.send(());
    });
    end
}

#[tokio::test]
async fn at_the_end_of_a_replacement_who_waits_stays_and_is_served() {
    let mut stage = Stage::new(1, |settings| settings.drain_timeout = BRIEF).await;
    stage.answer_all().await;
    let mut holder = idle(&stage).await;
    let mut waits = [stage.client().await, stage.client().await];
    for client in &mut waits {
        client.send(GET).await;
    }
    stage.waiting(2).await;
    let end = begin_drain(&mut stage, Cause::Replaced);
    assert_eq!(
        holder.rest().await,
        "",
        "the idle one is closed when the time is over"
    );
    for client in waits {
        let answer = soon("served", client.into_rest()).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    soon("the worker ends", end).await.unwrap();
    assert_eq!(stage.stock.totals().drain_cut, 1);
}

#[tokio::test]
async fn a_worker_being_replaced_waits_as_long_as_its_waiters_do_and_a_stop_ends_that() {
    let mut stage = Stage::new(0, |settings| settings.drain_timeout = BRIEF).await;
    let mut waits = stage.client().await;
    waits.send(GET).await;
    stage.waiting(1).await;
    let mut end = begin_drain(&mut stage, Cause::Replaced);
    tokio::time::sleep(BRIEF * 4).await;
    assert!(end.try_recv().is_err(), "it waits with its waiter");
    assert_eq!(stage.worker.desk.waiting(), 1);
    stage.worker.stop();
    let answer = waits.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("tpp is stopping"),
        "{answer}"
    );
    soon("the worker ends", end).await.unwrap();
}

#[tokio::test]
async fn on_a_stop_the_idle_are_closed_and_requests_in_hand_are_served() {
    let mut stage = Stage::new(2, |_| {}).await;
    let (mut client, mut served) = (stage.client().await, stage.client().await);
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    served.send(GET).await;
    upstream.head().await;
    let mut silent = stage.client().await;
    until("all are accepted", || stage.worker.connections() == 3).await;
    let end = begin_drain(&mut stage, Cause::Stopped);
    assert_eq!(client.rest().await, "");
    assert_eq!(silent.rest().await, "");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let answer = served.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.contains("Connection: close"),
        "{answer}"
    );
    soon("the worker ends", end).await.unwrap();
    assert_eq!(stage.stock.totals().drain_cut, 0);
}

#[tokio::test]
async fn on_a_replacement_an_idle_connection_gets_one_more_answer() {
    let mut stage = Stage::new(1, |_| {}).await;
    stage.answer_all().await;
    let mut client = idle(&stage).await;
    let end = begin_drain(&mut stage, Cause::Replaced);
    // Longer than a stop would let it be.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    client.send(GET).await;
    let answer = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.contains("Connection: close"),
        "{answer}"
    );
    soon("the worker ends", end).await.unwrap();
}

#[tokio::test]
async fn clients_are_told_to_be_idle_for_a_short_time_only_when_no_slot_is_left() {
    let stage = crowded(2).await;
    let mut clients = [stage.client().await, stage.client().await];
    let mut heads = Vec::new();
    for client in &mut clients {
        client.send(GET).await;
        heads.push(client.head().await);
    }
    let told = |head: &String| head.contains("\r\nKeep-Alive: timeout=1\r\n");
    assert!(!told(&heads[0]) && told(&heads[1]), "{heads:?}");
    // Whoever had the first one is told as well, now that there is no other.
    clients[0].send(GET).await;
    assert!(told(&clients[0].head().await));
}
