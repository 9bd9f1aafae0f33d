//! A supervisor that dies is followed by one that goes on where it ended.

use std::{fs, net::TcpStream, os::unix::net::UnixListener};

use crate::common::{
    client::Client, message::Request, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};
use nix::sys::signal::Signal;
use tpp::control::SupervisorEvent;

pub(crate) fn start(accounts: usize) -> (Upstream, Settings, Proxy) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, accounts)
        .workers(2);
    let proxy = Proxy::start_copy(&settings);
    (upstream, settings, proxy)
}

pub(crate) fn last_event(proxy: &Proxy) -> SupervisorEvent {
    let events = proxy.status().supervisors;
    events.last().expect("at least the first start").clone()
}

pub(crate) fn seats(proxy: &Proxy) -> Vec<(u32, u32)> {
    let workers = proxy.workers();
    let mut seats: Vec<_> = workers.iter().map(|one| (one.seat, one.pid)).collect();
    seats.sort_unstable();
    seats
}

/// The account that `client` works with.
pub(crate) fn account(client: &mut Client) -> String {
    let answer = client.get("/who").ok();
    answer.json()["user"].as_str().expect("a user").to_owned()
}

#[test]
fn a_new_supervisor_goes_on_where_a_killed_one_ended() {
    let (upstream, _, mut proxy) = start(3);
    let mut kept = proxy.client(&upstream);
    let user = account(&mut kept);
    let (workers, logins) = (seats(&proxy), upstream.attempts().len());
    proxy.kill_supervisor();
    assert_eq!(account(&mut kept), user, "workers serve on");
    proxy.start_successor();
    assert_eq!(seats(&proxy), workers, "the same workers in the same seats");
    let leased = proxy.tokens().into_iter().find(|one| one.state == "leased");
    let leased = leased.expect("the lease is known to the new one");
    assert_eq!(leased.user, user);
    assert!(leased.refresh_in_seconds.is_some(), "{leased:?}");
    assert_eq!(account(&mut kept), user);
    assert_eq!(
        upstream.attempts().len(),
        logins,
        "no token had to be drawn anew"
    );
    let event = last_event(&proxy);
    assert_eq!(
        (event.how.as_str(), event.workers, event.leases_freed),
        ("adopted", 2, 0)
    );
    drop(kept);
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn what_died_without_a_supervisor_is_freed_by_the_next_one() {
    let (upstream, settings, mut proxy) = start(2);
    let mut clients = [proxy.client(&upstream), proxy.client(&upstream)];
    clients.iter_mut().for_each(|client| {
        client.get("/who").ok();
    });
    proxy.kill_supervisor();
    let orphans = proxy.worker_pids();
    for pid in &orphans {
        processes::send(*pid, Signal::SIGKILL);
    }
    wait_until("the workers are dead", || proxy.worker_pids().is_empty());
    // Nobody is left who knows of the pool: the next supervisor begins anew.
    let address = format!("\"{}\"", proxy.address());
    settings.set("listen", address).write_to(proxy.directory());
    proxy.start_successor();
    proxy.wait_until_ready(2);
    proxy.wait_until_all_is_back(2);
    assert_eq!(last_event(&proxy).how, "started");
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn the_leases_of_one_worker_that_died_meanwhile_are_back() {
    let (upstream, _, mut proxy) = start(4);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client(&upstream)).collect();
    clients.iter_mut().for_each(|client| {
        client.get("/who").ok();
    });
    let victim = proxy.workers()[0].clone();
    proxy.kill_supervisor();
    processes::send(victim.pid, Signal::SIGKILL);
    wait_until("the worker is dead", || {
        !proxy.worker_pids().contains(&victim.pid)
    });
    proxy.start_successor();
    let event = last_event(&proxy);
    assert_eq!(
        (event.how.as_str(), event.workers, event.leases_freed),
        ("adopted", 1, victim.leases)
    );
    wait_until("there are two workers again", || {
        proxy.ready_workers().len() == 2
    });
    drop(clients);
    proxy.wait_until_all_is_back(4);
}

#[test]
fn a_stopped_worker_is_taken_over_too() {
    let (upstream, _, mut proxy) = start(2);
    let stopped = proxy.workers()[0].clone();
    processes::stop(stopped.pid);
    proxy.kill_supervisor();
    proxy.start_successor();
    assert!(seats(&proxy).contains(&(stopped.seat, stopped.pid)));
    processes::send(stopped.pid, Signal::SIGCONT);
    wait_until("it serves again", || {
        proxy
            .ready_workers()
            .iter()
            .any(|worker| worker.pid == stopped.pid)
    });
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn a_living_worker_that_nobody_can_meet_keeps_what_it_holds() {
    let (upstream, _, mut proxy) = start(2);
    let mut clients = [proxy.client(&upstream), proxy.client(&upstream)];
    let users: Vec<_> = clients.iter_mut().map(account).collect();
    let stopped = proxy
        .workers()
        .into_iter()
        .find(|worker| worker.leases > 0)
        .expect("somebody holds a token");
    processes::stop(stopped.pid);
    proxy.kill_supervisor();
    // As a sweep of /tmp does. The other worker can be met, and hands the pool over.
    let place = format!(
        "{}.worker-{}",
        proxy.control_socket().display(),
        stopped.pid
    );
    fs::remove_file(&place).expect("its meeting place was there");
    proxy.start_successor();
    let event = last_event(&proxy);
    assert_eq!((event.workers, event.leases_freed), (2, 0));
    let held = proxy
        .tokens()
        .into_iter()
        .filter(|one| one.holder.is_some());
    assert_eq!(
        held.count(),
        2,
        "nothing was taken from the one that is stopped"
    );
    processes::send(stopped.pid, Signal::SIGCONT);
    for (client, user) in clients.iter_mut().zip(&users) {
        assert_eq!(&account(client), user);
    }
    drop(clients);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn supervisors_follow_one_another_any_number_of_times() {
    let (upstream, _, mut proxy) = start(2);
    let mut kept = proxy.client(&upstream);
    for _ in 0..5 {
        kept.get("/who").ok();
        proxy.kill_supervisor();
        kept.get("/who").ok();
        proxy.start_successor();
    }
    kept.get("/who").ok();
    let status = proxy.status();
    assert_eq!(status.supervisors.len(), 6);
    assert_eq!(status.config_generation, 6);
    assert_eq!(status.worker_restarts, 0);
    assert_eq!(proxy.metric("tpp_requests_total"), Some(11.0));
}

#[test]
fn a_successor_goes_by_the_configuration_of_its_own_start() {
    let (upstream, settings, mut proxy) = start(2);
    let mut kept = proxy.client(&upstream);
    let user = account(&mut kept);
    proxy.kill_supervisor();
    // The account in use is gone, another one comes, and there are more workers.
    let others = ["user0", "user1"].into_iter().filter(|one| **one != user);
    let mut new = settings.without_accounts().workers(3);
    for other in others {
        new = new.known_account(other, 1);
    }
    let new = new.account(&upstream, "later", 1);
    new.write_to(proxy.directory());
    proxy.start_successor();
    proxy.wait_until_ready(3);
    wait_until("the new account's token is in", || proxy.pool().total == 2);
    assert_eq!(account(&mut kept), user, "a lease outlives its account");
    drop(kept);
    proxy.wait_until_all_is_back(2);
    assert!(proxy.tokens().iter().all(|token| token.user != user));
}

#[test]
fn workers_that_nobody_takes_over_drain_and_end() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .set("workers.orphan_timeout_seconds", 1)
        .set("workers.drain_timeout_seconds", 60);
    let mut proxy = Proxy::start_copy(&settings);
    let mut kept = proxy.client(&upstream);
    kept.get("/who").ok();
    proxy.kill_supervisor();
    wait_until("the other workers have ended", || {
        proxy.worker_pids().len() == 1
    });
    wait_until("nobody listens", || {
        TcpStream::connect(proxy.address()).is_err()
    });
    assert!(kept.get("/who").ok().closes(), "what is open is finished");
    wait_until("the last one has ended", || proxy.processes().is_empty());
    let left = fs::read_dir(proxy.directory()).expect("the directory");
    let left = left.filter_map(Result::ok).map(|entry| entry.file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains("worker"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    proxy.assert_gone();
}

#[test]
fn a_supervisor_that_leaves_leaves_its_workers() {
    let (upstream, _, mut proxy) = start(2);
    let mut kept = proxy.client(&upstream);
    kept.get("/who").ok();
    let workers = seats(&proxy);
    proxy.signal_supervisor(Signal::SIGQUIT);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    kept.get("/who").ok();
    proxy.start_successor();
    assert_eq!(seats(&proxy), workers);
    kept.get("/who").ok();
}

#[test]
fn a_second_supervisor_beside_a_living_one_touches_nothing() {
    let (upstream, _, proxy) = start(2);
    let mut kept = proxy.client(&upstream);
    kept.get("/who").ok();
    let workers = seats(&proxy);
    let outcome = proxy.run_another();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.err.contains("another supervisor is running at "),
        "{outcome:?}"
    );
    assert_eq!(seats(&proxy), workers);
    assert_eq!(proxy.status().supervisors.len(), 1);
    kept.get("/who").ok();
    assert!(!proxy.log().contains("the supervisor is gone"));
}

#[test]
fn a_pool_that_does_not_fit_any_more_gives_way_without_an_error() {
    let (upstream, settings, mut proxy) = start(2);
    let mut kept = proxy.client(&upstream);
    let user = account(&mut kept);
    let old = seats(&proxy);
    proxy.kill_supervisor();
    // Longer tokens than the region was made for.
    let new = settings.set("token.max_token_bytes", 8192);
    new.write_to(proxy.directory());
    proxy.start_successor();
    assert_eq!(last_event(&proxy).how, "started");
    wait_until("tokens of its own are in", || proxy.pool().total == 2);
    wait_until("the new workers are ready", || {
        let ready = proxy.ready_workers();
        ready.len() == 2 && ready.iter().all(|one| !old.contains(&(one.seat, one.pid)))
    });
    proxy.client(&upstream).get("/who").ok();
    // The old worker finishes what it has, with the token that it had.
    let answer = kept.get("/who").ok();
    assert_eq!(answer.json()["user"], user.as_str());
    wait_until("the former pool's workers have ended", || {
        let alive = proxy.worker_pids();
        old.iter().all(|(_, pid)| !alive.contains(pid))
    });
}

#[test]
fn meeting_places_of_the_dead_are_cleared_away() {
    let (_upstream, _, mut proxy) = start(1);
    let stale = proxy.directory().join("control.sock.worker-4000000");
    drop(UnixListener::bind(&stale).expect("bind"));
    proxy.kill_supervisor();
    proxy.start_successor();
    assert!(!stale.exists());
}

#[test]
fn an_orphan_serves_a_crowd_that_waits_in_line() {
    let (upstream, _, mut proxy) = start(1);
    let mut first = proxy.client(&upstream);
    first.get("/who").ok();
    let mut second = proxy.client(&upstream);
    second.send(&Request::get("/who"));
    wait_until("one waits", || proxy.pool().waiting == 1);
    proxy.kill_supervisor();
    proxy.start_successor();
    assert_eq!(proxy.pool().waiting, 1, "it kept its place");
    drop(first);
    second.read_answer().ok();
    upstream.assert_clean();
}
