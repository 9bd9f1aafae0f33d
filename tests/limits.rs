//! How long clients may wait, how many, and what those are told who may not.

use std::net::Ipv4Addr;

use crate::common::{
    client::Client,
    load::all_at_once,
    message::{Answer, Request},
    processes,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};
use nix::sys::signal::Signal;

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let retry_after = answer
        .head
        .field("retry-after")
        .and_then(|text| text.parse::<u64>().ok());
    assert!(
        retry_after.is_some(),
        "Retry-After in seconds: {:?}",
        answer.head
    );
    assert_eq!(answer.head.field("content-type"), Some("application/json"));
    let body = answer.json();
    assert!(
        body["error"].is_string() && body["details"].is_string(),
        "{body}"
    );
}

/// A tpp with one token, and who holds it.
fn taken(settings: impl FnOnce(Settings) -> Settings) -> (Upstream, Proxy, Client) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&settings(
        Settings::in_front_of(&upstream).accounts(&upstream, 1),
    ));
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    (upstream, proxy, holder)
}

#[test]
fn who_waits_too_long_is_told_to_come_again() {
    let (upstream, proxy, mut holder) =
        taken(|settings| settings.set("lease.wait_timeout_seconds", 1));
    let mut late = proxy.client(&upstream);
    late.send(&Request::post("/sum", b"abc".to_vec()));
    wait_until("it waits", || proxy.pool().waiting == 1);
    assert_unavailable(&late.read_answer());
    assert_eq!(proxy.pool().waiting, 0);
    holder.get("/who").ok();
    assert_eq!(upstream.seen().len(), 2, "nothing reached the upstream");
    drop((holder, late));
    proxy.wait_until_all_is_back(1);
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn who_waits_less_than_that_is_served() {
    let (upstream, proxy, holder) =
        taken(|settings| settings.set("lease.wait_timeout_seconds", 60));
    let mut next = proxy.client(&upstream);
    next.send(&Request::get("/who"));
    wait_until("it waits", || proxy.pool().waiting == 1);
    drop(holder);
    next.read_answer().ok();
    upstream.assert_clean();
}

#[test]
fn who_finds_the_line_full_is_told_so_at_once() {
    let (upstream, proxy, holder) = taken(|settings| settings.set("lease.max_waiting", 3));
    let mut line = Vec::new();
    // One after another: over two workers only what waits already is before what comes.
    for already in 0..3 {
        let mut client = proxy.client(&upstream);
        client.send(&Request::get("/who"));
        wait_until("it waits", || proxy.pool().waiting == already + 1);
        line.push(client);
    }
    for _ in 0..4 {
        assert_unavailable(&proxy.client(&upstream).get("/who"));
    }
    assert_eq!(proxy.pool().waiting, 3);
    drop(line.pop());
    wait_until("there is a place", || proxy.pool().waiting == 2);
    let mut newcomer = proxy.client(&upstream);
    newcomer.send(&Request::get("/who"));
    wait_until("it is taken", || proxy.pool().waiting == 3);
    drop(holder);
    for mut client in line.into_iter().chain([newcomer]) {
        client.read_answer().ok();
    }
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn who_is_sent_away_is_counted() {
    let (upstream, proxy, _holder) = taken(|settings| {
        settings
            .set("lease.max_waiting", 1)
            .set("lease.wait_timeout_seconds", 1)
    });
    let mut waits = proxy.client(&upstream);
    waits.send(&Request::get("/who"));
    wait_until("one waits", || proxy.pool().waiting == 1);
    assert_unavailable(&proxy.client(&upstream).get("/who"));
    assert_unavailable(&waits.read_answer());
    wait_until("both are counted", || {
        proxy.metric("tpp_requests_errors_total") == Some(2.0)
    });
    assert_eq!(proxy.status().request_errors, 2);
}

/// A tpp that all its tokens are enough for, with so many connections at most.
fn bounded(key: &str, most: usize) -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 16);
    let proxy = Proxy::start(&settings.set(key, most));
    (upstream, proxy)
}

fn refused(proxy: &Proxy, reason: &str) -> Option<f64> {
    let name = format!("tpp_connections_refused_total{{reason=\"{reason}\"}}");
    proxy.metric(&name)
}

/// Asks, and checks that the answer is one or the other. Whether it was served.
fn is_served(client: &mut Client) -> bool {
    let answer = client.get("/who");
    if answer.status != 200 {
        assert_unavailable(&answer);
        assert_eq!(answer.json()["error"], "too many connections");
        assert!(answer.closes());
        assert_eq!(client.read_to_close(), b"");
    }
    answer.status == 200
}

/// Opens connections until so many are served, and then one more.
#[track_caller]
fn assert_room_for(
    proxy: &Proxy,
    upstream: &Upstream,
    most: usize,
    mut served: Vec<Client>,
) -> Vec<Client> {
    wait_until("all places are taken", || {
        let mut client = proxy.client(upstream);
        if is_served(&mut client) {
            served.push(client);
        }
        served.len() == most
    });
    assert!(!is_served(&mut proxy.client(upstream)), "one too many");
    served
}

#[test]
fn a_crowd_of_connections_never_gets_more_places_than_there_are() {
    let (upstream, proxy) = bounded("client.max_connections", 5);
    let crowd = all_at_once(40, |_| {
        let mut client = proxy.client(&upstream);
        let served = is_served(&mut client);
        (client, served)
    });
    let (served, others): (Vec<_>, Vec<_>) = crowd.into_iter().partition(|(_, served)| *served);
    assert!((1..=5).contains(&served.len()), "{} served", served.len());
    assert_eq!(
        refused(&proxy, "max_connections"),
        Some(others.len() as f64)
    );
    let mut served: Vec<_> = served.into_iter().map(|(client, _)| client).collect();
    for _ in 0..3 {
        served = assert_room_for(&proxy, &upstream, 5, served);
        served
            .iter_mut()
            .for_each(|client| drop(client.get("/who").ok()));
        served.truncate(2);
    }
    upstream.assert_clean();
}

#[test]
fn who_finds_no_place_is_told_before_it_asks_anything() {
    let (upstream, proxy) = bounded("client.max_connections", 1);
    let mut first = proxy.client(&upstream);
    first.get("/who").ok();
    let mut second = Client::connect(proxy.address());
    assert_unavailable(&second.read_answer());
    assert_eq!(second.read_to_close(), b"");
    // One that sends much reads it as well: the connection is not reset under the answer.
    let mut third = proxy.client(&upstream);
    assert_unavailable(&third.ask(&Request::post("/sum", vec![b'x'; 100_000])));
    first.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_address_is_bounded_apart_from_others() {
    let (upstream, proxy) = bounded("client.max_connections_per_address", 2);
    let one = Ipv4Addr::new(127, 0, 0, 1);
    let two = Ipv4Addr::new(127, 0, 0, 2);
    let connect = |from| Client::connect_from(from, proxy.address());
    let mut held = vec![connect(one), connect(one), connect(two), connect(two)];
    assert!(held.iter_mut().all(is_served));
    for from in [one, two] {
        assert!(!is_served(&mut connect(from)));
    }
    assert_eq!(refused(&proxy, "per_address"), Some(2.0));
    drop(held.pop());
    wait_until("the place is free", || is_served(&mut connect(two)));
    assert!(!is_served(&mut connect(one)));
    drop(held);
    proxy.wait_until_all_is_back(16);
    upstream.assert_clean();
}

#[test]
fn the_places_of_a_killed_workers_connections_are_free_again() {
    let (upstream, proxy) = bounded("client.max_connections", 4);
    for _ in 0..2 {
        let held = assert_room_for(&proxy, &upstream, 4, Vec::new());
        for victim in proxy.ready_workers() {
            processes::send(victim.pid, Signal::SIGKILL);
        }
        proxy.wait_until_all_is_back(16);
        let again = assert_room_for(&proxy, &upstream, 4, Vec::new());
        drop((held, again));
    }
    upstream.assert_clean();
}
