//! Several hosts with one set of accounts, before one server and around one etcd: no session is used by two of them.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod formats;
mod outside;
mod pools;

use std::collections::HashSet;

use nix::sys::signal::Signal;
use tpp::control::HostsStatus;

use common::{
    etcd::Etcd, load::all_at_once, message::Request, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};

/// Sessions that the account allows.
const SESSIONS: u64 = 4;
/// Its name, which is to be found nowhere in etcd.
const USER: &str = "wanderer";

/// A host of that name, of which `home_percent` are its own. The account is the same at each.
fn host(upstream: &Upstream, etcd: &Etcd, name: &str, home_percent: u32) -> Settings {
    let settings = Settings::in_front_of(upstream).account(upstream, USER, SESSIONS as usize);
    of_hosts(settings, etcd, name, home_percent)
}

/// The same of a configuration that says the rest.
fn of_hosts(settings: Settings, etcd: &Etcd, name: &str, home_percent: u32) -> Settings {
    settings
        .workers(1)
        .set("hosts.endpoints", format!("[\"{}\"]", etcd.endpoint()))
        .set("hosts.cluster", "\"test\"")
        .set("hosts.name", format!("\"{name}\""))
        .set("hosts.takeover_seconds", 6)
        .set("hosts.home_percent", home_percent)
}

/// Two hosts of that part, the first of which had all before the second came.
fn two_hosts(upstream: &Upstream, etcd: &Etcd, home_percent: u32) -> [Proxy; 2] {
    let one = Proxy::start(&host(upstream, etcd, "one", home_percent));
    let two = Proxy::start_without_tokens(&host(upstream, etcd, "two", home_percent));
    wait_until("both are in", || {
        let hosts = shown(&two).pools.remove("default");
        hosts.is_some_and(|pool| {
            pool.hosts
                .iter()
                .filter(|host| host.state == "live")
                .count()
                == 2
        })
    });
    [one, two]
}

/// What `tppctl hosts` says.
fn shown(host: &Proxy) -> HostsStatus {
    let outcome = host.ctl(&["hosts", "--json"]);
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error} in {outcome:?}"))
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
    hosts.iter().map(|host| host.pool().total).collect()
}

/// Asks at `host` until there is an answer, as one who has no session yet.
fn ask(host: &Proxy, upstream: &Upstream) {
    host.client(upstream).get("/who").ok();
}

#[test]
fn two_hosts_share_an_accounts_sessions_and_never_use_more_than_it_allows() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [one, two] = two_hosts(&upstream, &etcd, 50);
    let hosts = [&one, &two];
    all_at_once(20, |number| {
        let mut client = hosts[number % 2].client(&upstream);
        for _ in 0..5 {
            client.get("/who").ok();
        }
    });
    wait_until("each has its part", || {
        let lent = lent(&hosts);
        lent.iter().sum::<u64>() == SESSIONS && lent.iter().all(|one| *one > 0)
    });
    upstream.assert_clean();
}

#[test]
fn who_waits_where_nothing_is_gets_an_idle_session_of_the_other_host() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [one, two] = two_hosts(&upstream, &etcd, 0);
    ask(&two, &upstream);
    assert!(lent(&[&one, &two])[1] > 0);
    let moves = "tpp_session_move_seconds_count";
    assert!(two.metric(moves).is_some_and(|count| count > 0.0));
    upstream.assert_clean();
}

#[test]
fn who_waits_gets_a_session_that_others_held_when_they_let_go_of_it() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [one, two] = two_hosts(&upstream, &etcd, 0);
    let mut held: Vec<_> = (0..SESSIONS).map(|_| one.client(&upstream)).collect();
    held.iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    let mut waits = two.client(&upstream);
    waits.send(&Request::get("/who"));
    wait_until("somebody waits at the other host", || {
        two.pool().waiting == 1 || two.pool().in_use == 1
    });
    drop(held.pop());
    waits.read_answer().ok();
    drop(held);
    upstream.assert_clean();
}

#[test]
fn a_host_that_stops_hands_everything_over() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [mut one, two] = two_hosts(&upstream, &etcd, 50);
    one.signal_supervisor(Signal::SIGTERM);
    assert!(one.wait_for_exit().success());
    one.assert_gone();
    wait_until("the other one has all", || two.pool().total == SESSIONS);
    // What it held goes first, it itself with the next record.
    wait_until("the other one knows that it has left", || {
        shown(&two).pools["default"].hosts.len() == 1
    });
    upstream.assert_clean();
}

#[test]
fn a_drained_host_is_not_ready_and_its_clients_are_served_by_the_other() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [one, two] = two_hosts(&upstream, &etcd, 50);
    assert_eq!(one.health("/readyz").status, 200);
    let mut busy = one.client(&upstream);
    busy.get("/who").ok();
    let told = one.ctl(&["hosts", "drain"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    wait_until("it says that it is not ready", || {
        one.health("/readyz").status == 503
    });
    wait_until("all that is idle is at the other one", || {
        two.pool().total == SESSIONS - 1
    });
    busy.get("/who").ok();
    drop(busy);
    wait_until("all is at the other one", || two.pool().total == SESSIONS);
    wait_until("it has left", || {
        shown(&two).pools["default"].hosts.len() == 1
    });
    let told = one.ctl(&["hosts", "drain", "--end"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    ask(&one, &upstream);
    wait_until("it is ready again", || one.health("/readyz").status == 200);
    let told = one.ctl(&["hosts", "drain", "--end"]);
    assert!(told.err.contains("not drained"), "{told:?}");
    upstream.assert_clean();
}

#[test]
fn sessions_go_where_an_operator_wants_them() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let [one, two] = two_hosts(&upstream, &etcd, 0);
    wait_until("it is done as it is asked", || {
        one.ctl(&["hosts", "give", "2", "two"]).code == Some(0)
    });
    wait_until("they have come", || two.pool().total >= 2);
    let refused = one.ctl(&["hosts", "give", "1", "nobody"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    upstream.assert_clean();
}
