//! How long clients may wait, how many, and what those are told who may not.

mod common;

use common::{
    client::Client,
    message::{Answer, Request},
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};

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
    let mut line: Vec<Client> = (0..3).map(|_| proxy.client(&upstream)).collect();
    line.iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    wait_until("three wait", || proxy.pool().waiting == 3);
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
