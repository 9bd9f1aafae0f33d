//! What must hold when all is well and no client asks for anything.

use crate::{
    common::{client::Client, message::Request, wait_until},
    crowd::Crowd,
    scene::Scene,
};

/// How many stand in line when its order is looked at.
const IN_LINE: usize = 6;

/// All that went on since the last quiet is judged; every count must be exact, every slot there to be leased, and in
/// order.
///
/// # Panics
/// At what is not as it must be.
pub(crate) fn check(scene: &mut Scene, crowd: &Crowd) {
    let oracle = scene.oracle().clone();
    let mut wrong = scene.judge.judge(crowd.take_complaints(), &oracle);
    let seen = scene.take_seen();
    wrong.extend(crowd.check_line(&seen, &scene.judge));
    wrong.extend(scene.judge.judge_overlaps(oracle.take_overlaps()));
    wrong.extend(oracle.faults());
    assert!(
        wrong.is_empty(),
        "{} violations:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    scene.judge.forget();

    let slots = scene.settings.slots();
    // Those who never end their connections hold nothing any more either.
    crowd.with_the_stalled(|| scene.proxy.wait_until_all_is_back(slots));
    let workers = scene.settings.worker_count();
    wait_until("every worker that drained has ended", || {
        scene.proxy.worker_pids().len() == workers
    });
    every_slot_can_be_leased_in_order(scene);
    scene.proxy.wait_until_all_is_back(slots);
    scene.take_seen();
    scene.upstream().assert_clean();
}

/// As many connections as there are slots are served at once; those behind them one for each that leaves, and in order.
fn every_slot_can_be_leased_in_order(scene: &Scene) {
    let (proxy, upstream) = (&scene.proxy, scene.upstream());
    let slots = scene.settings.slots();
    let mut holders: Vec<Client> = (0..slots).map(|_| proxy.client(upstream)).collect();
    for holder in &mut holders {
        holder.get("/who").ok();
    }
    let pool = proxy.pool();
    assert_eq!(
        (pool.in_use, pool.available),
        (slots, 0),
        "as many leases as connections"
    );
    let mut waiting: Vec<Client> = Vec::new();
    for place in 1..=IN_LINE {
        let mut client = proxy.client(upstream);
        client.send(&Request::get("/who"));
        wait_until("one more waits", || proxy.pool().waiting == place as u64);
        waiting.push(client);
    }
    for (served, (client, holder)) in waiting.iter_mut().zip(holders).enumerate() {
        drop(holder);
        wait_until("one more is served", || {
            proxy.pool().waiting == (IN_LINE - served - 1) as u64
        });
        // Were another served in its place, this one would wait in vain.
        let answer = client.try_read_answer();
        assert!(
            answer.as_ref().is_ok_and(|answer| answer.status == 200),
            "it is the turn of number {} in line, and it got {answer:?}",
            served + 1
        );
    }
}
