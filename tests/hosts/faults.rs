//! What crashes, is stopped, or is not to be reached.

use nix::sys::signal::Signal;

use crate::{
    SESSIONS, ask,
    common::{etcd::Etcd, place::Place, processes, proxy::Proxy, upstream::Upstream, wait_until},
    host, lent, shown, two_hosts,
};

fn kill_all(host: &mut Proxy) {
    for process in host.processes() {
        processes::send(process, Signal::SIGKILL);
    }
    host.wait_for_exit();
    host.abandon();
}

#[test]
fn what_a_killed_host_had_is_taken_over() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [mut one, two] = two_hosts(&upstream, &etcd, 0);
    ask(&one, &upstream);
    kill_all(&mut one);
    wait_until("all are at the other one", || two.pool().total == SESSIONS);
    assert!(two.metric("tpp_sessions_moved_total{reason=\"taken_over\"}") > Some(0.0));
    ask(&two, &upstream);
    upstream.assert_clean();
}

#[test]
fn a_supervisor_that_is_followed_by_another_keeps_its_sessions() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let mut one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let logins = upstream.attempts().len();
    one.kill_supervisor();
    one.start_successor();
    wait_until("it is in again", || {
        let pools = shown(&one).pools;
        pools.get("default").is_some_and(|pool| {
            (pool.phase.as_str(), pool.ready) == ("joined", true) && pool.lend_margin_ms > 0
        })
    });
    wait_until("it has all", || lent(&[&one]) == [SESSIONS]);
    ask(&one, &upstream);
    assert_eq!(upstream.attempts().len(), logins, "nobody logged in anew");
    upstream.assert_clean();
}

#[test]
fn without_a_supervisor_the_home_part_alone_is_lent_on() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [mut one, two] = two_hosts(&upstream, &etcd, 50);
    wait_until("both have a part", || {
        lent(&[&one, &two]).iter().all(|lent| *lent > 0)
    });
    one.kill_supervisor();
    wait_until("its floating sessions are at the other one", || {
        let hosts = shown(&two).pools.remove("default").map(|pool| pool.hosts);
        let lost = |name: &str, floating| {
            let mut rows = hosts.iter().flatten();
            rows.any(|row| row.name == name && row.floating == floating)
        };
        lost("one", 0)
    });
    // Workers serve on by what is theirs.
    ask(&one, &upstream);
    one.start_successor();
    wait_until("it is in again", || {
        let pools = shown(&one).pools;
        pools
            .get("default")
            .is_some_and(|pool| pool.phase == "joined")
    });
    ask(&one, &upstream);
    upstream.assert_clean();
}

#[test]
fn without_etcd_a_host_goes_on_with_its_own_part_alone() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    wait_until("half of them are its own", || {
        let pool = shown(&one).pools.remove("default");
        let rows = pool.map(|pool| pool.hosts).unwrap_or_default();
        rows.iter().any(|row| u64::from(row.home) == SESSIONS / 2)
    });
    etcd.stop();
    wait_until("what is floating has lapsed", || {
        one.pool().available == SESSIONS / 2
    });
    for _ in 0..5 {
        ask(&one, &upstream);
    }
    wait_until("it is counted", || {
        one.metric("tpp_host_lapses_total") > Some(0.0)
    });
    etcd.go_on();
    wait_until("all is lent again", || one.pool().available == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_host_that_comes_back_after_a_crash_has_its_own_part_again() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    // Where it listened before.
    let place = Place::any();
    let settings =
        host(&upstream, &etcd, "one", 100).set("listen", format!("\"{}\"", place.address));
    let mut one = Proxy::start(&settings);
    kill_all(&mut one);
    one.start_successor();
    wait_until("it has all again", || one.pool().total == SESSIONS);
    ask(&one, &upstream);
    upstream.assert_clean();
}

#[test]
fn home_sessions_that_are_too_many_float_without_a_login_and_are_back_soon_when_their_host_dies() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let mut one = Proxy::start(&host(&upstream, &etcd, "one", 100));
    let mut held: Vec<_> = (0..SESSIONS).map(|_| one.client(&upstream)).collect();
    held.iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    let two = Proxy::start_without_tokens(&host(&upstream, &etcd, "two", 100));
    // One that is idle is not worth a move, and half of all ought to be home at each.
    drop(held.pop());
    let logins = upstream.attempts().len();
    wait_until("it floats", || {
        let hosts = shown(&two).pools.remove("default").map(|pool| pool.hosts);
        let mut rows = hosts.iter().flatten();
        rows.any(|row| row.name == "one" && (row.floating, row.home) == (1, 3))
    });
    held.iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    ask(&one, &upstream);
    assert_eq!(upstream.attempts().len(), logins, "nobody logged in anew");
    kill_all(&mut one);
    wait_until("the other one has it", || two.pool().total == 1);
    ask(&two, &upstream);
    upstream.assert_clean();
}
