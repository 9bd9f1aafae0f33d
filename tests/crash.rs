//! Processes that die or stand still: what they held comes back, and the others go on.

use std::{collections::HashSet, io, time::Instant};

use crate::common::{
    client::Client,
    dice::Dice,
    load::{all_at_once, while_clients_work},
    message::Request,
    processes,
    proxy::Proxy,
    seconds_from,
    settings::Settings,
    upstream::Upstream,
    wait_for, wait_until,
};
use nix::sys::signal::Signal;

/// Asks three times on one connection, which a worker's death may break off, and checks what does come.
fn ask_where_workers_die(proxy: &Proxy, upstream: &Upstream) {
    let mut client = proxy.client(upstream);
    let mut user = None;
    for _ in 0..3 {
        match client.try_ask(&Request::get("/delay/2")) {
            Ok(answer) => {
                let seen = answer.ok().json()["user"].clone();
                assert_eq!(*user.get_or_insert(seen.clone()), seen);
            }
            Err(error) if is_broken_off(&error) => return,
            Err(error) => panic!("connection {}: {error}", client.id()),
        }
    }
}

fn is_broken_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Kills a worker and waits until another process is ready in its seat.
fn kill_and_see_replaced(proxy: &Proxy, place: usize) {
    let victim = proxy.ready_workers()[place].clone();
    processes::send(victim.pid, Signal::SIGKILL);
    wait_until("a successor is ready", || {
        let ready = proxy.ready_workers();
        ready
            .iter()
            .any(|worker| worker.seat == victim.seat && worker.pid != victim.pid)
    });
}

#[test]
fn workers_killed_all_the_while_double_and_lose_no_token() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 8));
    let mut dice = Dice::new(Dice::seed(2));
    let kills = 8;
    let ((), rounds) = while_clients_work(
        40,
        |_| ask_where_workers_die(&proxy, &upstream),
        || {
            for _ in 0..kills {
                let served = upstream.seen().len();
                wait_until("requests are served", || {
                    upstream.seen().len() > served + 20
                });
                kill_and_see_replaced(&proxy, dice.below(2));
            }
        },
    );
    println!(
        "{rounds} connections, {} requests, {kills} kills",
        upstream.seen().len()
    );
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
    assert_eq!(proxy.status().worker_restarts, kills);
    assert_eq!(
        upstream.attempts().len(),
        8,
        "a worker's death costs no login"
    );
    let users: HashSet<String> = upstream
        .seen()
        .into_iter()
        .filter_map(|seen| seen.user)
        .collect();
    assert_eq!(users.len(), 8);
}

#[test]
fn a_killed_worker_gives_its_leases_back_and_its_waiters_leave_the_line() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let [doomed, other] = [0, 1].map(|place| proxy.ready_workers()[place].clone());
    // Both tokens and one place in line belong to connections of the worker that dies.
    processes::stop(other.pid);
    let mut cut: Vec<Client> = (0..3).map(|_| proxy.client(&upstream)).collect();
    cut[0].get("/who").ok();
    cut[1].send(&Request::get("/gate/never"));
    wait_until("the second is served", || {
        upstream.gates().waiting_at("never") == 1
    });
    cut[2].send(&Request::get("/who"));
    wait_until("the third waits", || proxy.pool().waiting == 1);
    processes::stop(doomed.pid);
    processes::send(other.pid, Signal::SIGCONT);
    let mut next = proxy.client(&upstream);
    next.send(&Request::get("/who"));
    wait_until("another waits in the other worker", || {
        proxy.pool().waiting == 2
    });

    processes::send(doomed.pid, Signal::SIGKILL);
    next.read_answer().ok();
    for client in &mut cut {
        assert_eq!(client.read_to_close(), b"");
    }
    let successor = wait_for("a successor is ready", || {
        proxy
            .ready_workers()
            .into_iter()
            .find(|worker| worker.seat == doomed.seat && worker.pid != doomed.pid)
    });
    assert!(successor.epoch > doomed.epoch);
    assert_eq!(successor.restarts, 1);
    assert!(
        successor
            .last_exit
            .is_some_and(|exit| exit.contains("KILL") || exit.contains('9'))
    );
    drop(next);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn a_connection_of_another_worker_does_not_notice_a_death() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let [doomed, other] = [0, 1].map(|place| proxy.ready_workers()[place].pid);
    processes::stop(doomed);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    processes::send(doomed, Signal::SIGCONT);
    client.send(&Request::get("/gate/after-the-death"));
    wait_until("it is in service", || {
        upstream.gates().waiting_at("after-the-death") == 1
    });
    kill_and_see_replaced(&proxy, 0);
    upstream.gates().open("after-the-death");
    client.read_answer().ok();
    client.get("/who").ok();
    assert!(processes::is_alive(other));
    upstream.assert_clean();
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_the_others_go_on() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let proxy = Proxy::start(&settings.set("workers.worker_timeout_seconds", 2));
    let hung = proxy.ready_workers()[0].clone();
    processes::stop(hung.pid);
    let mut served_meanwhile = 0;
    wait_until("the worker that stands still is killed", || {
        proxy.client(&upstream).get("/who").ok();
        served_meanwhile += 1;
        !processes::is_alive(hung.pid)
    });
    println!("{served_meanwhile} connections served while one worker stood still");
    wait_until("a successor is ready", || {
        let ready = proxy.ready_workers();
        ready
            .iter()
            .any(|worker| worker.seat == hung.seat && worker.pid != hung.pid)
    });
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn a_stopped_supervisor_stops_no_request() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 4);
    let proxy = Proxy::start(&settings);
    let still = seconds_from("TPP_TEST_SUPERVISOR_STOP_SECONDS", 3);
    let mut kept = proxy.client(&upstream);
    kept.get("/who").ok();
    processes::stop(proxy.supervisor_pid());
    // Ten clients over the three tokens left: leases, releases and waits all happen without the supervisor.
    let ((), rounds) = while_clients_work(
        10,
        |_| {
            let mut client = proxy.client(&upstream);
            client.get("/who").ok();
            client.get("/who").ok();
        },
        || {
            let end = Instant::now() + still;
            while Instant::now() < end {
                kept.get("/delay/20").ok();
            }
        },
    );
    processes::send(proxy.supervisor_pid(), Signal::SIGCONT);
    println!("{rounds} connections served in {still:?} without a supervisor");
    assert!(rounds >= 10);
    drop(kept);
    proxy.wait_until_all_is_back(4);
    upstream.assert_clean();
    assert_eq!(
        proxy.status().worker_restarts,
        0,
        "nobody was taken for hung afterwards"
    );
}

#[test]
fn a_killed_supervisor_stops_no_request() {
    let upstream = Upstream::start();
    let mut proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 3));
    let mut kept = proxy.client(&upstream);
    kept.get("/who").ok();
    proxy.abandon();
    processes::send(proxy.supervisor_pid(), Signal::SIGKILL);
    wait_until("the supervisor is dead", || {
        !processes::is_alive(proxy.supervisor_pid())
    });
    for _ in 0..10 {
        kept.get("/who").ok();
    }
    let orphans = all_at_once(20, |_| {
        let mut client = proxy.client(&upstream);
        client.get("/who").ok();
        client.get("/who").ok().status
    });
    assert_eq!(orphans, [200; 20]);
    upstream.assert_clean();
}

#[test]
fn a_worker_that_drains_goes_on_draining_under_the_next_supervisor() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let settings = settings.set("workers.drain_timeout_seconds", 600);
    let mut proxy = Proxy::start_copy(&settings.workers(1));
    let mut idle = proxy.client(&upstream);
    idle.get("/who").ok();
    let forerunner = proxy.ready_workers()[0].pid;
    assert_eq!(proxy.ctl(&["restart"]).code, Some(0));
    let state = |proxy: &Proxy| {
        let workers = proxy.workers();
        let found = workers.into_iter().find(|one| one.pid == forerunner);
        found.map(|worker| worker.state)
    };
    wait_until("it drains", || state(&proxy).as_deref() == Some("draining"));
    proxy.kill_supervisor();
    proxy.start_successor();
    assert_eq!(state(&proxy).as_deref(), Some("draining"));
    assert!(
        idle.get("/who").ok().closes(),
        "served once more, and told so"
    );
    wait_until("it has ended", || !processes::is_alive(forerunner));
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn a_worker_that_keeps_dying_is_started_again_and_again() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(
        &Settings::in_front_of(&upstream)
            .accounts(&upstream, 1)
            .workers(1),
    );
    for _ in 0..4 {
        kill_and_see_replaced(&proxy, 0);
    }
    let worker = &proxy.workers()[0];
    assert_eq!((worker.restarts, proxy.status().worker_restarts), (4, 4));
    proxy.client(&upstream).get("/who").ok();
    assert_eq!(proxy.metric("tpp_worker_restarts_total"), Some(4.0));
}

#[test]
fn counters_do_not_fall_back_when_a_worker_dies() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(
        &Settings::in_front_of(&upstream)
            .accounts(&upstream, 1)
            .workers(1),
    );
    for _ in 0..5 {
        proxy.client(&upstream).get("/who").ok();
    }
    let counted =
        || ["tpp_requests_total", "tpp_token_acquisitions_total"].map(|name| proxy.metric(name));
    wait_until("all five are counted", || counted() == [Some(5.0); 2]);
    kill_and_see_replaced(&proxy, 0);
    assert_eq!(counted(), [Some(5.0); 2]);
    proxy.client(&upstream).get("/who").ok();
    wait_until("the count goes on", || counted() == [Some(6.0); 2]);
}
