//! Pools paused, resumed, refreshed, and holders cut off: by API and by tppctl alike.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    asking::{Asking, settings},
    common::{message::Request, proxy::Proxy, upstream::Upstream, wait_until},
    live::sample,
};

fn tpp(upstream: &Upstream, accounts: usize) -> Proxy {
    Proxy::start(&settings(upstream).accounts(upstream, accounts))
}

#[test]
fn a_pool_shows_its_numbers_and_its_slots() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 2);
    let asking = Asking::of(&proxy);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    let pools = asking.get("/pools").ok().json();
    assert_eq!(pools.as_array().unwrap().len(), 1);
    let pool = asking.get("/pools/default").ok().json();
    for (key, value) in [
        ("name", json!("default")),
        ("paused", json!(false)),
        ("total", json!(2)),
        ("in_use", json!(1)),
        ("available", json!(1)),
        ("waiting", json!(0)),
        ("configured_tokens", json!(2)),
    ] {
        assert_eq!(pool[key], value, "{key} in {pool}");
        assert_eq!(pools[0][key], value, "{key} in {pools}");
    }
    let tokens = pool["tokens"].as_array().unwrap();
    let leased = tokens.iter().filter(|one| one["state"] == "leased").count();
    assert_eq!((tokens.len(), leased), (2, 1), "{pool}");
    assert_eq!(asking.get("/pools/other").status, 404);
}

#[test]
fn a_paused_pool_lends_nothing_and_forgets_nobody_who_waits() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 2);
    let asking = Asking::of(&proxy);
    let paused = asking.post("/pools/default/pause", None).ok().json();
    assert_eq!(paused["paused"], true);
    let mut clients = [proxy.client(&upstream), proxy.client(&upstream)];
    clients
        .iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    wait_until("both wait", || {
        asking.get("/pools/default").json()["waiting"] == 2
    });
    assert_eq!(asking.get("/pools/default").json()["in_use"], 0);
    let resumed = asking.post("/pools/default/resume", None).ok().json();
    assert_eq!(resumed["paused"], false);
    clients
        .iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    // Again is no error.
    asking.post("/pools/default/resume", None).ok();
    assert_eq!(asking.post("/pools/other/pause", None).status, 404);
}

#[test]
fn a_paused_pool_is_said_to_be_and_whoever_holds_one_of_its_tokens_goes_on() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 2);
    let asking = Asking::of(&proxy);
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    asking.post("/pools/default/pause", None).ok();
    let pool = asking.get("/pools/default").ok().json();
    let numbers = ["total", "in_use", "available"].map(|key| pool[key].as_u64());
    assert_eq!(numbers, [Some(2), Some(1), Some(0)], "{pool}");
    let tokens = pool["tokens"].as_array().expect("a list").iter();
    let mut states: Vec<_> = tokens.map(|one| one["state"].as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, [Some("leased"), Some("paused")], "{pool}");
    let status = proxy.status();
    assert_eq!(
        status.reasons,
        ["pool default is paused: it lends nothing"],
        "and no token is said to be missing"
    );
    assert_eq!((status.pool.total, status.pool.in_use), (2, 1));
    let of_pool = |name: &str| sample(&asking, &format!("{name}{{pool=\"default\"}}"));
    wait_until("metrics say so", || {
        let seen = ["tpp_pool_paused", "tpp_pool_tokens_in_use"].map(of_pool);
        seen == [Some(1.0), Some(1.0)]
    });
    holder.get("/who").ok();
    let mut next = proxy.client(&upstream);
    next.send(&Request::get("/who"));
    wait_until("one waits for the pool", || {
        of_pool("tpp_pool_waiting") == Some(1.0)
    });
    asking.post("/pools/default/resume", None).ok();
    next.read_answer().ok();
    assert_eq!(proxy.status().reasons, [""; 0]);
}

#[test]
fn a_pause_outlives_a_stop_and_so_does_its_end() {
    let upstream = Upstream::start();
    let mut proxy = tpp(&upstream, 1);
    for (order, is_paused) in [("pause", true), ("resume", false)] {
        let asked = format!("/pools/default/{order}");
        Asking::of(&proxy).post(&asked, None).ok();
        proxy.signal_supervisor(Signal::SIGTERM);
        assert_eq!(proxy.wait_for_exit().code(), Some(0));
        proxy.start_successor_elsewhere();
        let asking = Asking::of(&proxy);
        wait_until("its token is in", || {
            asking.get("/pools/default").json()["total"] == 1
        });
        let pool = asking.get("/pools/default").json();
        assert_eq!(pool["paused"], is_paused, "{pool}");
        let free = u64::from(!is_paused);
        assert_eq!(pool["available"], free, "{pool}");
    }
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn a_holder_is_cut_off_and_its_slot_lent_again() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 1);
    let asking = Asking::of(&proxy);
    assert_eq!(
        asking.ask("DELETE", "/pools/default/leases/0", None).status,
        404
    );
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    let mut next = proxy.client(&upstream);
    next.send(&Request::get("/who"));
    wait_until("one waits", || {
        asking.get("/pools/default").json()["waiting"] == 1
    });
    // What follows is tpp's doing.
    holder.forsake();
    let ended = asking
        .ask("DELETE", "/pools/default/leases/0", None)
        .ok()
        .json();
    assert_eq!(ended, json!({"name": "default", "slot": 0, "ended": true}));
    next.read_answer().ok();
    assert_eq!(holder.read_to_close(), b"");
    let far = asking.ask("DELETE", "/pools/default/leases/99999999", None);
    assert_eq!(far.status, 404);
    let wrong = asking.ask("DELETE", "/pools/default/leases/first", None);
    assert_eq!(
        (wrong.status, wrong.json()["field"].clone()),
        (400, json!("slot"))
    );
}

#[test]
fn tokens_are_drawn_anew_for_one_user_or_for_all() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 3);
    let asking = Asking::of(&proxy);
    let before = upstream.attempts_of("user1");
    let one = asking.post("/pools/default/refresh", Some(json!({"user": "user1"})));
    assert_eq!(one.ok().json()["slots"], 1);
    wait_until("user1 has logged in again", || {
        upstream.attempts_of("user1") > before
    });
    assert_eq!(
        asking.post("/pools/default/refresh", None).ok().json()["slots"],
        3
    );
    let nobody = asking.post("/pools/default/refresh", Some(json!({"user": "nobody"})));
    assert_eq!(nobody.status, 404);
}

#[test]
fn tppctl_does_the_same() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream, 1);
    let ctl = |arguments: &[&str]| {
        let outcome = proxy.ctl(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        outcome.out
    };
    assert_eq!(
        ctl(&["pause"]),
        "pool default lends nothing until it is resumed\n"
    );
    assert!(ctl(&["pools"]).contains("paused"));
    let mut holder = proxy.client(&upstream);
    holder.send(&Request::get("/who"));
    wait_until("it waits", || proxy.pool().waiting == 1);
    assert_eq!(ctl(&["resume", "default"]), "pool default lends again\n");
    holder.read_answer().ok();
    holder.forsake();
    assert_eq!(ctl(&["kill", "0"]), "the holder of slot 0 is cut off\n");
    assert_eq!(holder.read_to_close(), b"");
    proxy.wait_until_all_is_back(1);
    let outcome = proxy.ctl(&["kill", "0", "--pool", "default"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.err,
        "tppctl: nobody holds slot 0 of pool \"default\"\n"
    );
    assert_eq!(proxy.ctl(&["pause", "other"]).code, Some(1));
}
