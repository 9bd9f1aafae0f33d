//! More connections than tokens: replacing workers throws nobody out of the line.

use std::time::Duration;

use crate::common::{
    client::Client, message::Request, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};
use nix::sys::signal::Signal;

/// Two connections that hold the only tokens and ask nothing, and `length` in line behind them.
fn line(upstream: &Upstream, proxy: &Proxy, length: usize) -> (Vec<Client>, Vec<Client>) {
    let mut holders: Vec<Client> = (0..2).map(|_| proxy.client(upstream)).collect();
    holders
        .iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    let mut waiting: Vec<Client> = (0..length).map(|_| proxy.client(upstream)).collect();
    waiting
        .iter_mut()
        .for_each(|client| client.send(&Request::post("/sum", "once")));
    wait_until("all stand in line", || {
        proxy.pool().waiting == length as u64
    });
    (holders, waiting)
}

/// Two tokens, a drain that is over soon, and idle connections that give way only then.
fn start(upstream: &Upstream) -> Settings {
    Settings::in_front_of(upstream)
        .accounts(upstream, 2)
        .set("workers.drain_timeout_seconds", 1)
}

#[test]
fn a_restart_throws_nobody_out_of_the_line() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&start(&upstream));
    let (holders, waiting) = line(&upstream, &proxy, 10);
    let outcome = proxy.ctl(&["restart"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    for mut client in waiting {
        assert!(client.read_answer().ok().closes());
    }
    drop(holders);
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.metric("tpp_requests_errors_total"), Some(0.0));
    upstream.assert_clean();
}

#[test]
fn an_upgrade_throws_nobody_out_of_the_line() {
    let upstream = Upstream::start();
    let mut proxy = Proxy::start_copy(&start(&upstream));
    let (holders, waiting) = line(&upstream, &proxy, 10);
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    for mut client in waiting {
        assert!(client.read_answer().ok().closes());
    }
    drop(holders);
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.metric("tpp_requests_errors_total"), Some(0.0));
    upstream.assert_clean();
}

#[test]
fn a_replaced_worker_stays_for_those_who_wait_in_it_beyond_its_time_to_drain() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let settings = settings.set("workers.worker_timeout_seconds", 120);
    let proxy = Proxy::start(&settings.set("workers.drain_timeout_seconds", 1));
    let [first, second] = [0, 1].map(|at| proxy.ready_workers()[at].pid);
    // The token is at work in the one, somebody waits in the other: a worker that stands still cannot accept.
    processes::stop(first);
    let mut holder = proxy.client(&upstream);
    holder.send(&Request::get("/gate/open"));
    wait_until("it is in service", || {
        upstream.gates().waiting_at("open") == 1
    });
    processes::send(first, Signal::SIGCONT);
    processes::stop(second);
    let mut waits = proxy.client(&upstream);
    waits.send(&Request::get("/who"));
    wait_until("one waits", || proxy.pool().waiting == 1);
    processes::send(second, Signal::SIGCONT);
    processes::send(first, Signal::SIGTERM);
    wait_until("another one works in its place", || {
        proxy.ready_workers().len() == 2 && proxy.workers().len() == 3
    });
    // Its time to drain, and what the supervisor grants beyond it, pass.
    std::thread::sleep(Duration::from_secs(4));
    assert!(processes::is_alive(first), "{}", proxy.log());
    assert_eq!(proxy.pool().waiting, 1);
    upstream.gates().open("open");
    holder.read_answer().ok();
    drop(holder);
    assert!(waits.read_answer().ok().closes());
    wait_until("it is gone", || proxy.workers().len() == 2);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}
