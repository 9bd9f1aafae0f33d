//! Many slots, many who wait, and what happens where the system gives no more.

use crate::common::{
    client::Client, message::Request, proxy::Proxy, settings::Settings, upstream::Upstream,
    wait_until,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process have as many open files as it may.
fn raise_file_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("ask for a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise a limit to its bound");
}

#[test]
fn a_thousand_slots_fill_and_lend() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).account(&upstream, "many", 1024);
    let proxy = Proxy::start(&settings.set("token.login_concurrency", 64));
    let mut clients: Vec<Client> = (0..200).map(|_| proxy.client(&upstream)).collect();
    clients
        .iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    assert_eq!(proxy.pool().in_use, 200);
    assert_eq!(proxy.tokens().len(), 1024);
    drop(clients);
    proxy.wait_until_all_is_back(1024);
    assert_eq!(upstream.attempts().len(), 1024);
    upstream.assert_clean();
}

#[test]
fn a_thousand_wait_and_are_served_or_leave() {
    raise_file_limit();
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    let mut line: Vec<Client> = (0..1000).map(|_| proxy.client(&upstream)).collect();
    line.iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    wait_until("a thousand wait", || proxy.pool().waiting == 1000);
    // Every other one leaves, all at once; the others are served one by one.
    let mut stays = false;
    line.retain(|_| {
        stays = !stays;
        stays
    });
    wait_until("five hundred wait", || proxy.pool().waiting == 500);
    drop(holder);
    let all =
        crate::common::load::each_at_once(line, |mut client| client.read_answer().ok().status);
    assert_eq!(all, vec![200; 500]);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn a_worker_out_of_files_keeps_what_is_open_and_recovers() {
    raise_file_limit();
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .workers(1);
    let proxy = Proxy::start(&settings.with_most_files(100));
    let mut open = proxy.client(&upstream);
    open.get("/who").ok();
    // The kernel takes these into the backlog, whatever tpp can do for them.
    let crowd: Vec<Client> = (0..200).map(|_| Client::connect(proxy.address())).collect();
    wait_until("the log says what is wrong", || {
        open.get("/who").ok();
        let log = proxy.log().to_lowercase();
        log.contains("too many open files") || log.contains("file descriptors")
    });
    for _ in 0..5 {
        // Each time the upstream ends its connection: the next one takes a descriptor that was kept for it.
        open.get("/close").ok();
        open.get("/who").ok();
    }
    let refused = "tpp_connections_refused_total{reason=\"descriptors\"}";
    wait_until("those that would take them are counted", || {
        proxy
            .metric(refused)
            .is_some_and(|refused| refused >= 100.0)
    });
    drop(crowd);
    // There is room as soon as the worker has seen them go.
    wait_until("a newcomer is served", || {
        proxy.client(&upstream).get("/who").status == 200
    });
    drop(open);
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.status().worker_restarts, 0);
    upstream.assert_clean();
}
