//! Several hosts with one set of accounts, before one server and around one etcd: no session is used by two of them.

#[path = "../common/mod.rs"]
mod common;
mod etcd;

use std::collections::HashSet;

use nix::sys::signal::Signal;

use common::{
    load::all_at_once, message::Request, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};
use etcd::Etcd;

/// Sessions that the accounts allow together.
const SESSIONS: u64 = 4;

/// A host of that name, of which `home_percent` are its own. The account is the same at each.
fn host(upstream: &Upstream, etcd: &Etcd, name: &str, home_percent: u32) -> Settings {
    Settings::in_front_of(upstream)
        .account(upstream, "shared", SESSIONS as usize)
        .workers(1)
        .set("hosts.endpoints", format!("[\"{}\"]", etcd.endpoint()))
        .set("hosts.cluster", "\"test\"")
        .set("hosts.name", format!("\"{name}\""))
        .set("hosts.takeover_seconds", 6)
        .set("hosts.home_percent", home_percent)
}

/// Sessions that each host lends now. There are never more than allowed, and no token is at two of them.
fn lent(hosts: &[&Proxy]) -> Vec<u64> {
    let mut seen = HashSet::new();
    for host in hosts {
        let tokens = host.tokens().into_iter();
        for fingerprint in tokens.filter_map(|token| token.fingerprint) {
            assert!(
                seen.insert(fingerprint.clone()),
                "token {fingerprint} is at two hosts"
            );
        }
    }
    let lent: Vec<_> = hosts.iter().map(|host| host.pool().total).collect();
    assert!(lent.iter().sum::<u64>() <= SESSIONS, "{lent:?}");
    lent
}

#[test]
fn two_hosts_share_an_accounts_sessions_and_never_use_more_than_it_allows() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    assert_eq!(lent(&[&one]), [SESSIONS], "alone it has all");
    let two = Proxy::start_without_tokens(&host(&upstream, &etcd, "two", 50));
    wait_until("each has its part", || {
        let lent = lent(&[&one, &two]);
        lent.iter().sum::<u64>() == SESSIONS && lent.iter().all(|one| *one > 0)
    });
    let hosts = [&one, &two];
    all_at_once(20, |number| {
        let mut client = hosts[number % 2].client(&upstream);
        for _ in 0..5 {
            client.get("/who").ok();
        }
    });
    lent(&hosts);
    upstream.assert_clean();
}

#[test]
fn who_waits_where_nothing_is_gets_an_idle_session_of_the_other_host() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 0));
    let two = Proxy::start_without_tokens(&host(&upstream, &etcd, "two", 0));
    let mut client = two.client(&upstream);
    client.get("/who").ok();
    assert!(lent(&[&one, &two])[1] > 0);
    upstream.assert_clean();
}

#[test]
fn what_a_killed_host_had_is_taken_over() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 0));
    let two = Proxy::start_without_tokens(&host(&upstream, &etcd, "two", 0));
    two.client(&upstream).get("/who").ok();
    for process in one.processes() {
        processes::send(process, Signal::SIGKILL);
    }
    wait_until("all are at the other one", || two.pool().total == SESSIONS);
    drop(one);
}

#[test]
fn a_supervisor_that_is_followed_by_another_keeps_its_sessions() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let mut one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let logins = upstream.attempts().len();
    one.kill_supervisor();
    one.start_successor();
    wait_until("it has all", || lent(&[&one]) == [SESSIONS]);
    one.client(&upstream).get("/who").ok();
    assert_eq!(upstream.attempts().len(), logins, "nobody logged in anew");
    upstream.assert_clean();
}

#[test]
fn without_etcd_a_host_goes_on_with_its_own_part_alone() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    etcd.stop();
    wait_until("what is floating has lapsed", || {
        one.pool().available == SESSIONS / 2
    });
    for _ in 0..5 {
        one.client(&upstream).get("/who").ok();
    }
    etcd.go_on();
    wait_until("all is lent again", || one.pool().available == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_host_that_stops_hands_everything_over() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let mut one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let two = Proxy::start_without_tokens(&host(&upstream, &etcd, "two", 50));
    let mut waits = two.client(&upstream);
    waits.send(&Request::get("/who"));
    waits.read_answer().ok();
    one.signal_supervisor(Signal::SIGTERM);
    assert!(one.wait_for_exit().success());
    wait_until("the other one has all", || two.pool().total == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn two_clusters_with_one_server_are_told_apart() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let _one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let other = host(&upstream, &etcd, "two", 50).set("hosts.cluster", "\"another\"");
    let mut two = Proxy::start_without_tokens(&other);
    assert_eq!(two.wait_for_exit().code(), Some(78));
    assert!(two.log().contains("cluster"), "{}", two.log());
}
