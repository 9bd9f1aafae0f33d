//! A pool that is gone: its sessions end when nobody uses them.

use super::{sharing::numbered, *};

#[tokio::test]
async fn each_session_of_a_pool_that_is_gone_ends_when_its_holder_lets_go() {
    let scene = Scene::new(3, |number| numbered(number, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 3);
    let handle = refresher.handle();
    let running = tokio::spawn(refresher.run());
    while scene.usable() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lease = desk.try_lease().unwrap();
    let mut held = Vec::new();
    lease.read_token(&mut held);
    handle.leave().await;
    assert_eq!(scene.usable(), 0, "nothing is lent any more");
    let others = async {
        while scene.left().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(others).await;
    let held = String::from_utf8(held).unwrap();
    assert!(!scene.left().contains(&held), "it is in use");
    drop(lease);
    timeout(running).await.unwrap();
    assert!(scene.left().contains(&held));
    assert_eq!(scene.asked(), 3);
}

#[tokio::test]
async fn a_token_of_many_slots_is_ended_once_and_a_stop_waits_for_nobody() {
    let scene = Scene::of(Manner::Shared, 5, |number| numbered(number, 3600));
    let desk = scene.desk();
    let refresher = scene.refresher("pw", 5);
    let handle = refresher.handle();
    let running = tokio::spawn(refresher.run());
    while scene.usable() < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lease = desk.try_lease().unwrap();
    handle.leave().await;
    assert_eq!(scene.left(), [""; 0], "somebody uses it");
    handle.log_out().await;
    assert_eq!(scene.left(), ["token-0"]);
    timeout(running).await.unwrap();
    drop(lease);
}

async fn timeout<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, what).await.expect("it comes")
}
