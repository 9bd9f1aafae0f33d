//! Signals come whenever they like, from the first instruction on.

use std::time::Duration;

use crate::common::{processes, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until};
use nix::sys::signal::Signal;

#[test]
fn no_signal_in_the_first_moments_ends_tpp_and_none_is_lost() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    for pause_ms in [0, 1, 2, 5, 10, 20, 50] {
        let mut proxy = Proxy::spawn(&settings);
        wait_until("its program runs", || {
            holds_signals_back(proxy.supervisor_pid())
        });
        // Not to be safe: each pause hits another moment of the start.
        std::thread::sleep(Duration::from_millis(pause_ms));
        proxy.signal_supervisor(Signal::SIGHUP);
        proxy.learn_addresses();
        wait_until("the reload was carried out", || {
            proxy.status().last_reload.is_some()
        });
        proxy.wait_until_ready(settings.worker_count());
        proxy.signal_supervisor(Signal::SIGTERM);
        assert_eq!(proxy.wait_for_exit().code(), Some(0));
        proxy.assert_gone();
    }
}

/// Whether SIGHUP waits there rather than kills.
fn holds_signals_back(pid: u32) -> bool {
    let status = processes::proc_text(pid, "status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

#[test]
fn the_log_says_who_sent_a_signal() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings);
    proxy.signal_supervisor(Signal::SIGHUP);
    let own = format!("process {} (", std::process::id());
    wait_until("the sender is named", || {
        let log = proxy.log();
        let line = log.lines().find(|line| line.contains("signal received"));
        line.is_some_and(|line| line.contains("SIGHUP") && line.contains(&own))
    });
}

#[test]
fn a_worker_dies_of_no_signal_but_those_meant_for_it() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 1)
        .workers(1);
    let proxy = Proxy::start(&settings);
    let worker = proxy.ready_workers()[0].pid;
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        processes::send(worker, signal);
    }
    proxy.client(&upstream).get("/who").ok();
    assert_eq!(proxy.ready_workers()[0].pid, worker);
    assert_eq!(proxy.metric("tpp_worker_restarts_total"), Some(0.0));
}
