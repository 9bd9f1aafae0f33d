//! A lease is exclusive and whole, and it ends when its connection ends, however that ends.

use crate::common::{
    client::Client,
    load::{all_at_once, each_at_once},
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};

/// Eight tokens: four accounts of one session, two of two.
fn eight_tokens(upstream: &Upstream) -> Settings {
    let settings = Settings::in_front_of(upstream).accounts(upstream, 4);
    settings
        .account(upstream, "twin0", 2)
        .account(upstream, "twin1", 2)
}

#[test]
fn two_hundred_connections_over_eight_tokens_and_two_workers_each_keep_one_account() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&eight_tokens(&upstream));
    all_at_once(200, |_| {
        let mut client = proxy.client(&upstream);
        let users: Vec<_> = (0..5)
            .map(|_| client.get("/who").ok().json()["user"].clone())
            .collect();
        assert!(users.iter().all(|user| *user == users[0]), "{users:?}");
    });
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
    assert_eq!(upstream.seen().len(), 1000);
    assert_eq!(upstream.refusals(), 0);
    assert_eq!(proxy.metric("tpp_token_acquisitions_total"), Some(200.0));
    assert_eq!(proxy.metric("tpp_token_releases_total"), Some(200.0));
}

#[test]
fn all_tokens_are_lent_before_anybody_waits() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&eight_tokens(&upstream));
    let mut clients: Vec<Client> = (0..9).map(|_| proxy.client(&upstream)).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(&Request::get("/gate/all")));
    wait_until("eight are served at once and the ninth waits", || {
        upstream.gates().waiting_at("all") == 8 && proxy.pool().waiting == 1
    });
    assert_eq!((proxy.pool().in_use, proxy.pool().available), (8, 0));
    upstream.gates().open("all");
    // Each closes once it is served: the ninth is served only then.
    each_at_once(clients, |mut client| drop(client.read_answer().ok()));
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
}

#[test]
fn a_connection_that_asks_for_nothing_takes_no_token() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let _silent: Vec<Client> = (0..5).map(|_| proxy.client(&upstream)).collect();
    let mut half_a_head = proxy.client(&upstream);
    half_a_head.send_raw(b"GET /who HTTP/1.1\r\nHost: a");
    proxy.client(&upstream).get("/who").ok();
    proxy.wait_until_all_is_back(1);
}

#[test]
fn where_nobody_has_to_give_way_an_idle_connection_keeps_its_token_from_the_next_in_line() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut first = proxy.client(&upstream);
    first.get("/who").ok();
    let mut second = proxy.client(&upstream);
    second.send(&Request::get("/who"));
    wait_until("the second waits", || proxy.pool().waiting == 1);
    for _ in 0..3 {
        first.get("/who").ok();
    }
    assert_eq!(proxy.pool().waiting, 1);
    drop(first);
    second.read_answer().ok();
    drop(second);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn while_somebody_waits_the_idle_give_way_over_all_workers() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&eight_tokens(&upstream).set("lease.contended_idle_ms", 250));
    // Five times as many connections as tokens, all kept open by their clients.
    let mut clients: Vec<Client> = (0..40).map(|_| proxy.client(&upstream)).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    for client in &mut clients {
        client.read_answer().ok();
    }
    // Of each eight, those after them in line made the first give way; nobody waits behind the last.
    wait_until("the last eight keep theirs", || {
        let pool = proxy.pool();
        (pool.in_use, pool.waiting) == (8, 0)
    });
    assert_eq!(proxy.metric("tpp_token_acquisitions_total"), Some(40.0));
    drop(clients);
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
}

/// A way to end a connection, and its name.
type End = (&'static str, fn(Client));

#[test]
fn a_token_is_back_however_its_connection_ends() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let ends: [End; 5] = [
        ("close", drop),
        ("reset", Client::reset),
        ("half-close", |mut client| {
            client.half_close();
            client.read_to_close();
        }),
        ("Connection: close", |mut client| {
            assert!(
                client
                    .ask(&Request::get("/who").field("Connection", "close"))
                    .ok()
                    .closes()
            );
            assert_eq!(client.read_to_close(), b"");
        }),
        ("a malformed second request", |mut client| {
            client.send_raw(b"this is no request\r\n\r\n");
            client.read_to_close();
        }),
    ];
    for (how, end) in ends {
        let mut client = proxy.client(&upstream);
        client.get("/who").ok();
        assert_eq!(proxy.pool().in_use, 1, "before {how}");
        end(client);
        proxy.wait_until_all_is_back(1);
    }
    upstream.assert_clean();
}

#[test]
fn a_connection_that_is_idle_too_long_is_closed_and_its_token_lent_on() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("lease.idle_timeout_seconds", 1));
    let mut idle = proxy.client(&upstream);
    idle.get("/who").ok();
    let mut next = proxy.client(&upstream);
    next.get("/who").ok();
    assert_eq!(idle.read_to_close(), b"");
    upstream.assert_clean();
}

#[test]
fn a_connection_that_holds_its_token_too_long_is_closed_after_the_answer_in_hand() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    // One worker, so that both connections go by one clock.
    let proxy = Proxy::start(&settings.set("lease.max_hold_seconds", 1).workers(1));
    let mut busy = proxy.client(&upstream);
    busy.send(&Request::get("/gate/in-hand"));
    wait_until("its request is in service", || {
        upstream.gates().waiting_at("in-hand") == 1
    });
    // It came first, so the other connection's end shows that the time of both has passed.
    let mut idle = proxy.client(&upstream);
    idle.get("/who").ok();
    assert_eq!(idle.read_to_close(), b"");
    let mut next = [proxy.client(&upstream), proxy.client(&upstream)];
    next.iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    wait_until("one is served and one waits", || {
        (proxy.pool().in_use, proxy.pool().waiting) == (2, 1)
    });
    upstream.gates().open("in-hand");
    assert!(busy.read_answer().ok().closes());
    assert_eq!(busy.read_to_close(), b"");
    next.iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    upstream.assert_clean();
}

#[test]
fn both_workers_lend_from_one_pool() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let [first, second] = [0, 1].map(|place| proxy.ready_workers()[place].pid);
    // A stopped worker accepts nothing, so that each connection is sure to go to the other one.
    let through_worker = |stopped, user_seen: &mut Vec<String>| {
        crate::common::processes::stop(stopped);
        let mut client = proxy.client(&upstream);
        let user = client.get("/who").ok().json()["user"].to_string();
        crate::common::processes::send(stopped, nix::sys::signal::Signal::SIGCONT);
        user_seen.push(user);
        client
    };
    let mut users = Vec::new();
    let one = through_worker(first, &mut users);
    let other = through_worker(second, &mut users);
    assert_ne!(users[0], users[1]);
    let leases: Vec<u64> = proxy.workers().iter().map(|worker| worker.leases).collect();
    assert_eq!(leases, [1, 1], "each worker holds one");
    assert_eq!(proxy.pool().available, 0);
    drop((one, other));
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}
