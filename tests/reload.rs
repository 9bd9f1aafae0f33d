//! Another configuration is put in force while all goes on: all of it, or nothing.

use crate::common::{
    client::Client, command::Outcome, message::Request, not_checked, place::Place, processes,
    proxy::Proxy, settings::Settings, upstream::Upstream, wait_until,
};
use nix::sys::signal::Signal;

fn start(accounts: usize) -> (Upstream, Settings, Proxy) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, accounts);
    let proxy = Proxy::start(&settings);
    (upstream, settings, proxy)
}

fn reload(proxy: &Proxy, settings: &Settings) -> Outcome {
    settings.write_to(proxy.directory());
    proxy.ctl(&["reload"])
}

#[track_caller]
fn assert_done(outcome: &Outcome, says: &str) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains(says), "{outcome:?}");
}

fn users(proxy: &Proxy) -> Vec<String> {
    let mut users: Vec<_> = proxy.tokens().into_iter().map(|token| token.user).collect();
    users.sort();
    users
}

/// The account that `client` works with.
fn account(client: &mut Client) -> String {
    let answer = client.get("/who").ok();
    answer.json()["user"].as_str().expect("a user").to_owned()
}

#[test]
fn accounts_come_and_go_under_live_connections() {
    let (upstream, _, proxy) = start(2);
    let mut clients: Vec<_> = (0..2).map(|_| proxy.client(&upstream)).collect();
    let before: Vec<_> = clients.iter_mut().map(account).collect();
    let new = Settings::in_front_of(&upstream)
        .account(&upstream, "user1", 1)
        .account(&upstream, "later", 2);
    let outcome = reload(&proxy, &new);
    assert_done(&outcome, "accounts (1 added, 1 removed)");
    wait_until("the new account's tokens are in", || {
        proxy.pool().total == 3
    });
    let after: Vec<_> = clients.iter_mut().map(account).collect();
    assert_eq!(after, before, "nobody's account changed under it");
    assert_eq!(users(&proxy), ["later", "later", "user0", "user1"]);
    drop(clients);
    wait_until("the removed account's slot is given up", || {
        users(&proxy) == ["later", "later", "user1"]
    });
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn tokens_of_accounts_that_a_reload_adds_are_locked_in_memory_like_the_others() {
    let (upstream, settings, proxy) = start(1);
    let locked = || processes::memory_kib(proxy.supervisor_pid(), "VmLck");
    let at_start = locked();
    if proxy.log().contains("tokens are not locked in memory") {
        let why = "the limit on locked memory allows none";
        return not_checked("locked tokens", why);
    }
    assert!(at_start > 0);
    let new = settings.account(&upstream, "many", 20);
    assert_done(&reload(&proxy, &new), "accounts (1 added)");
    // At least one buffer for each.
    let added = 20 * 4096 / 1024;
    assert!(
        locked() >= at_start + added,
        "{} KiB after {at_start}",
        locked()
    );
}

#[test]
fn a_slot_that_was_given_up_serves_another_account() {
    let (upstream, old, proxy) = start(1);
    for round in 0..5 {
        let user = format!("round{round}");
        let new = Settings::in_front_of(&upstream).account(&upstream, &user, 1);
        assert_done(&reload(&proxy, &new), "accounts (1 added, 1 removed)");
        wait_until("its token is in", || proxy.pool().total == 1);
        assert_eq!(account(&mut proxy.client(&upstream)), user);
        proxy.wait_until_all_is_back(1);
    }
    assert_done(&reload(&proxy, &old), "accounts (1 added, 1 removed)");
    let slots = proxy.tokens().iter().map(|token| token.slot).max();
    assert!(slots < Some(2), "slots are used again: {slots:?}");
    upstream.assert_clean();
}

#[test]
fn workers_come_and_go_and_no_client_sees_an_error() {
    let (upstream, settings, proxy) = start(8);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client(&upstream)).collect();
    for count in [4, 1, 3, 2] {
        assert_done(&reload(&proxy, &settings.clone().workers(count)), "workers");
        wait_until("the wanted workers are ready, the others gone", || {
            for client in &mut clients {
                // A worker that drains says that this answer is the last, and cuts nobody.
                if client.get("/who").ok().closes() {
                    *client = proxy.client(&upstream);
                }
            }
            let workers = proxy.workers();
            workers.len() == count && workers.iter().all(|worker| worker.state == "ready")
        });
    }
    assert_eq!(proxy.status().worker_restarts, 0);
    drop(clients);
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
}

#[test]
fn limits_hold_from_the_next_request_on() {
    let (upstream, settings, proxy) = start(1);
    let mut holder = proxy.client(&upstream);
    account(&mut holder);
    let outcome = reload(&proxy, &settings.set("lease.wait_timeout_seconds", 1));
    assert_done(&outcome, "changed: lease");
    let answer = proxy.client(&upstream).get("/who");
    assert_eq!(answer.status, 503);
    let pids: Vec<_> = proxy.workers().iter().map(|worker| worker.epoch).collect();
    assert_eq!(pids, [1, 1], "no worker was replaced for it");
    account(&mut holder);
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told_everywhere() {
    let (upstream, settings, proxy) = start(1);
    let wrong = settings.clone().set("upstream.port", 70000);
    let outcome = reload(&proxy, &wrong);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(
        outcome.err.contains("upstream.port: found 70000"),
        "{outcome:?}"
    );
    let status = proxy.status();
    assert_eq!(status.config_generation, 1);
    let told = status.last_reload.expect("the reload is told");
    assert!(
        told.starts_with("refused: ") && told.contains("70000"),
        "{told}"
    );
    assert!(proxy.log().contains("reload refused"));
    account(&mut proxy.client(&upstream));
    assert_done(&reload(&proxy, &settings), "nothing has changed");
    assert_eq!(proxy.status().reasons, [""; 0]);
}

#[test]
fn what_cannot_be_reloaded_is_refused_by_its_name() {
    let (upstream, settings, proxy) = start(1);
    let outcome = reload(
        &proxy,
        &settings
            .set("token.max_token_bytes", 512)
            .set("lease.idle_timeout_seconds", 1),
    );
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome
            .err
            .contains("token.max_token_bytes needs a restart"),
        "{outcome:?}"
    );
    assert_eq!(
        proxy.status().config_generation,
        1,
        "nothing of it is in force"
    );
    account(&mut proxy.client(&upstream));
}

#[test]
fn a_hangup_reloads() {
    let (upstream, settings, proxy) = start(1);
    let settings = settings.account(&upstream, "second", 1);
    settings.write_to(proxy.directory());
    proxy.signal_supervisor(Signal::SIGHUP);
    wait_until("it is in force", || proxy.status().config_generation == 2);
    wait_until("its token is in", || proxy.pool().total == 2);
}

#[test]
fn the_upstream_moves() {
    let (upstream, _, proxy) = start(1);
    let mut client = proxy.client(&upstream);
    account(&mut client);
    let other = Upstream::start();
    let settings = Settings::in_front_of(&other).account(&other, "moved", 1);
    assert_done(&reload(&proxy, &settings), "upstream");
    drop(client);
    wait_until("the other one is reached", || {
        let mut client = proxy.client(&other);
        client.send(&Request::get("/who"));
        let answer = client.read_answer();
        answer.status == 200 && answer.json()["user"] == "moved"
    });
    assert_eq!(proxy.status().upstream, other.address().to_string());
}

#[test]
fn addresses_come_and_go() {
    let (upstream, settings, proxy) = start(4);
    let first = proxy.address();
    let mut kept = proxy.client(&upstream);
    let user = account(&mut kept);
    // A port that is free now; the reload takes it.
    let place = Place::any();
    let second = place.address;
    let both = settings
        .clone()
        .set("listen", format!("[\"127.0.0.1:0\", \"{second}\"]"));
    assert_done(&reload(&proxy, &both), "listen");
    assert_eq!(
        proxy.status().listen,
        [first.to_string(), second.to_string()]
    );
    for address in [first, second] {
        Client::connect_watched(address, &upstream).get("/who").ok();
    }
    let answer = kept.get("/who").ok();
    assert_eq!(answer.json()["user"], user.as_str(), "the lease went on");
    assert!(
        answer.closes(),
        "its worker makes way for one with both sockets"
    );
    let one = settings.set("listen", format!("\"{second}\""));
    assert_done(&reload(&proxy, &one), "listen");
    assert_eq!(proxy.status().listen, [second.to_string()]);
    wait_until("the old address is closed", || {
        Client::try_connect(first).is_err()
    });
    Client::connect_watched(second, &upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_address_that_is_taken_refuses_the_whole_reload() {
    let (upstream, settings, proxy) = start(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let new = settings
        .set("listen", format!("\"{address}\""))
        .set("workers.count", 1);
    let outcome = reload(&proxy, &new);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.err.contains(&format!("listen on {address}")),
        "{outcome:?}"
    );
    assert_eq!(proxy.status().config_generation, 1);
    assert_eq!(proxy.ready_workers().len(), 2);
    proxy.client(&upstream).get("/who").ok();
}
