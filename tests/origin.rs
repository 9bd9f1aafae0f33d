//! A token goes to the server it was drawn from, and nowhere else: not one request with another's, whatever a reload,
//! a login or a supervisor's death does meanwhile. The upstreams know their own tokens and judge.

use std::{thread, time::Duration};

use crate::common::{
    client::Client,
    load::while_clients_work,
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};

const USERS: usize = 4;

/// In front of `upstream`, always with the same accounts.
fn in_front_of(upstream: &Upstream) -> Settings {
    Settings::in_front_of(upstream).accounts(upstream, USERS)
}

#[track_caller]
fn reload(proxy: &Proxy, settings: &Settings) {
    settings.write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// No request came with a token that is none of its own.
#[track_caller]
fn assert_no_foreign_token(upstream: &Upstream) {
    let seen = upstream.seen();
    let foreign = seen.iter().filter(|seen| seen.user.is_none()).count();
    assert_eq!(foreign, 0, "of {} requests", seen.len());
}

#[test]
fn reloads_from_server_to_server_under_load_send_none_a_token_of_the_other() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let settings = upstreams.each_ref().map(in_front_of);
    let proxy = Proxy::start(&settings[0]);
    let work = |number: usize| {
        // Some come for one request, some stay for many; there are more of them than tokens.
        let mut client = Client::connect(proxy.address());
        for _ in 0..1 + 40 * (number % 2) {
            let answer = client.get("/who");
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.closes() {
                return;
            }
        }
    };
    let ((), rounds) = while_clients_work(2 * USERS, work, || {
        for round in 1..=6 {
            let upstream = &upstreams[round % 2];
            let before = upstream.seen().len();
            reload(&proxy, &settings[round % 2]);
            wait_until("the server in force is asked", || {
                upstream.seen().len() > before + 20
            });
        }
    });
    assert!(rounds > 2 * USERS, "{rounds} rounds");
    upstreams.iter().for_each(assert_no_foreign_token);
    upstreams
        .iter()
        .for_each(|one| assert_eq!(one.refusals(), 0));
    proxy.wait_until_all_is_back(USERS as u64);
}

#[test]
fn while_logins_fail_at_the_new_server_it_gets_no_request_at_all() {
    let [old, new] = [Upstream::start(), Upstream::start()];
    let (at_old, at_new) = (in_front_of(&old), in_front_of(&new));
    let proxy = Proxy::start(&at_old);
    new.script_logins(Login::Close);
    let work = |_| {
        let mut client = Client::connect(proxy.address());
        while !client.get("/who").closes() && new.seen().is_empty() {}
    };
    while_clients_work(USERS + 1, work, || {
        reload(&proxy, &at_new);
        let after = old.seen().len();
        wait_until("logins fail at the new one", || {
            new.attempts().len() > USERS
        });
        // Those under way at that moment may still have come.
        assert!(
            old.seen().len() <= after + USERS,
            "the old one is left alone"
        );
        assert!(new.seen().is_empty());
        assert_eq!(proxy.pool().total, 0);
        new.script_logins(Login::Accept);
        wait_until("the new one serves", || new.seen().len() > 20);
    });
    for upstream in [&old, &new] {
        assert_no_foreign_token(upstream);
    }
}

#[test]
fn a_login_that_hangs_at_the_old_server_never_brings_a_token_to_the_new() {
    let [old, new] = [Upstream::start(), Upstream::start()];
    let (at_old, at_new) = (in_front_of(&old), in_front_of(&new));
    let proxy = Proxy::start(&at_old);
    let mut client = Client::connect(proxy.address());
    client.get("/who").ok();
    old.script_logins(Login::AcceptAtGate("old"));
    proxy.ctl(&["refresh", "--all"]);
    wait_until("logins hang at the old one", || {
        old.gates().waiting_at("old") == USERS
    });
    reload(&proxy, &at_new);
    // Whatever they would bring, they bring it now.
    old.gates().open_all();
    wait_until("all tokens are in", || proxy.pool().total == USERS as u64);
    thread::sleep(Duration::from_millis(200));
    client.get("/who").ok();
    for _ in 0..3 * USERS {
        Client::connect(proxy.address()).get("/who").ok();
    }
    assert!(!new.seen().is_empty());
    assert_no_foreign_token(&new);
    assert_eq!(new.refusals(), 0);
}

#[test]
fn a_successor_with_another_server_in_its_file_sends_it_no_old_token() {
    let [old, new] = [Upstream::start(), Upstream::start()];
    let at_new = in_front_of(&new);
    let mut proxy = Proxy::start_copy(&in_front_of(&old));
    let workers = proxy.worker_pids();
    let mut kept = Client::connect(proxy.address());
    kept.get("/who").ok();
    proxy.kill_supervisor();
    // Nobody tells the workers anything: they go on as they were told.
    kept.get("/who").ok();
    at_new.write_to(proxy.directory());
    proxy.start_successor();
    wait_until("all tokens are in", || proxy.pool().total == USERS as u64);
    kept.get("/who").ok();
    assert_eq!(proxy.worker_pids(), workers, "the same workers go on");
    assert!(!new.seen().is_empty());
    for upstream in [&old, &new] {
        assert_no_foreign_token(upstream);
        assert_eq!(upstream.refusals(), 0);
    }
}

#[test]
fn a_plan_of_any_size_reaches_the_workers() {
    let upstream = Upstream::start();
    let settings = in_front_of(&upstream);
    let proxy = Proxy::start(&settings);
    let targets: Vec<_> = (0..8000).map(|n| format!("target{n}=info")).collect();
    let filter = format!("\"info,{}\"", targets.join(","));
    assert!(filter.len() > 64 << 10);
    reload(
        &proxy,
        &settings
            .set("telemetry.log_filter", filter)
            .set("lease.wait_timeout_seconds", 1),
    );
    let holders: Vec<_> = (0..USERS)
        .map(|_| {
            let mut client = proxy.client(&upstream);
            client.get("/who").ok();
            client
        })
        .collect();
    // What stands in the plan beside the filter holds.
    assert_eq!(Client::connect(proxy.address()).get("/who").status, 503);
    drop(holders);
}
