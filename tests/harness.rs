//! The harness holds what the other tests build on: its judge sees what is wrong, and only that.

use crate::common::{
    client::Client,
    message::Request,
    settings::password_of,
    upstream::{Login, TOKEN_MARK, Upstream},
    wait_until,
};
use serde_json::json;

/// Logs in at `upstream` directly and returns the token as it stands in a header.
fn log_in(upstream: &Upstream, user: &str) -> String {
    let body = json!({"username": user, "password": password_of(user)}).to_string();
    let mut client = Client::connect(upstream.address());
    let reply = client.ask(&Request::post("/api/login", body)).ok().json();
    assert_eq!(reply["code"], "0", "{reply}");
    let token = reply["result"].as_str().expect("a token");
    assert!(
        token.contains(TOKEN_MARK) && token.ends_with('\n'),
        "{token:?}"
    );
    token.split_whitespace().collect()
}

fn upstream_with(users: &[&str]) -> Upstream {
    let upstream = Upstream::start();
    users
        .iter()
        .for_each(|user| upstream.add_account(user, &password_of(user), 1));
    upstream
}

fn get_with(token: &str) -> Request {
    Request::get("/who").field("Authorization", &format!("Bearer {token}"))
}

#[test]
fn two_living_connections_with_one_token_are_a_fault() {
    let upstream = upstream_with(&["a"]);
    let request = get_with(&log_in(&upstream, "a"));
    let mut first = Client::connect_watched(upstream.address(), &upstream);
    first.ask(&request).ok();
    let mut second = Client::connect_watched(upstream.address(), &upstream);
    second.ask(&request).ok();
    assert_eq!(
        upstream.oracle().faults().len(),
        2,
        "one token, and one session: {:?}",
        upstream.oracle().faults()
    );
}

#[test]
fn a_token_may_pass_on_when_its_connection_has_ended() {
    let upstream = upstream_with(&["a"]);
    let request = get_with(&log_in(&upstream, "a"));
    for _ in 0..3 {
        let mut client = Client::connect_watched(upstream.address(), &upstream);
        client.ask(&request).ok();
        client.ask(&request).ok();
        client.reset();
    }
    let mut half_closed = Client::connect_watched(upstream.address(), &upstream);
    half_closed.ask(&request).ok();
    half_closed.half_close();
    let mut last = Client::connect_watched(upstream.address(), &upstream);
    last.ask(&request).ok();
    upstream.assert_clean();
}

#[test]
fn a_connection_that_the_other_side_ended_holds_nothing() {
    let upstream = upstream_with(&["a"]);
    let token = log_in(&upstream, "a");
    let closing = Request::get("/close").field("Authorization", &format!("Bearer {token}"));
    let mut first = Client::connect_watched(upstream.address(), &upstream);
    first.ask(&closing).ok();
    wait_until("the upstream has closed the connection", || {
        upstream.connections() == 0
    });
    let mut second = Client::connect_watched(upstream.address(), &upstream);
    second.ask(&get_with(&token)).ok();
    upstream.assert_clean();
}

#[test]
fn a_slot_given_on_before_the_client_has_read_that_it_is_over_is_no_fault() {
    let upstream = upstream_with(&["a"]);
    let request = get_with(&log_in(&upstream, "a"));
    let mut first = Client::connect_watched(upstream.address(), &upstream);
    first.ask(&request).ok();
    let mut second = Client::connect_watched(upstream.address(), &upstream);
    second.ask(&request).ok();
    upstream.oracle().told_to_close(first.id());
    upstream.assert_clean();
}

#[test]
fn a_slot_given_on_while_its_client_is_served_or_leaves_by_itself_is_a_fault() {
    let is_served: fn(Client, &Request) = |mut client, request| drop(client.ask(request).ok());
    let leaves: fn(Client, &Request) = |client, _| drop(client);
    for goes_on in [is_served, leaves] {
        let upstream = upstream_with(&["a"]);
        let request = get_with(&log_in(&upstream, "a"));
        let mut first = Client::connect_watched(upstream.address(), &upstream);
        first.ask(&request).ok();
        let mut second = Client::connect_watched(upstream.address(), &upstream);
        second.ask(&request).ok();
        goes_on(first, &request);
        drop(second);
        assert!(upstream.oracle().faults().len() >= 2);
    }
}

#[test]
fn a_connection_that_changes_its_account_is_a_fault() {
    let upstream = upstream_with(&["a", "b"]);
    let mut client = Client::connect_watched(upstream.address(), &upstream);
    client.ask(&get_with(&log_in(&upstream, "a"))).ok();
    client.ask(&get_with(&log_in(&upstream, "b"))).ok();
    let faults = upstream.oracle().faults();
    assert!(
        matches!(faults.as_slice(), [fault] if fault.contains("began as a and went on as b")),
        "{faults:?}"
    );
}

#[test]
fn two_requests_in_service_with_one_token_are_a_fault_whatever_the_lease_spans() {
    let upstream = upstream_with(&["a"]);
    upstream.oracle().allow_a_lease_per_request();
    let token = log_in(&upstream, "a");
    let mut first = Client::connect_watched(upstream.address(), &upstream);
    first.send(&Request::get("/gate/open").field("Authorization", &format!("Bearer {token}")));
    wait_until("the first is in service", || {
        upstream.gates().waiting_at("open") == 1
    });
    let mut second = Client::connect_watched(upstream.address(), &upstream);
    second.ask(&get_with(&token)).ok();
    assert_eq!(
        upstream.oracle().faults().len(),
        1,
        "{:?}",
        upstream.oracle().faults()
    );
    upstream.gates().open("open");
    first.read_answer().ok();
    second.ask(&get_with(&token)).ok();
    assert_eq!(
        upstream.oracle().faults().len(),
        1,
        "{:?}",
        upstream.oracle().faults()
    );
}

#[test]
fn an_expired_token_gets_401_and_a_fresh_login_works() {
    let upstream = upstream_with(&["a"]);
    let old = log_in(&upstream, "a");
    upstream.expire_all();
    let mut client = Client::connect_watched(upstream.address(), &upstream);
    assert_eq!(client.ask(&get_with(&old)).status, 401);
    client.ask(&get_with(&log_in(&upstream, "a"))).ok();
    assert_eq!((upstream.attempts_of("a"), upstream.refusals()), (2, 1));
    upstream.assert_clean();
}

#[test]
fn a_request_that_may_be_read_in_two_ways_is_a_fault() {
    let heads = [
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 1",
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "Host: a\r\nX: 1\r\n folded",
        "Host: a\nX: 1",
        "Host: a\r\nX : 1",
        "Host: a\r\nHost: b",
        "X: 1",
    ];
    for head in heads {
        let upstream = upstream_with(&[]);
        let mut client = Client::connect(upstream.address());
        client.send_raw(format!("GET / HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
        assert_eq!(client.read_to_close(), b"", "{head:?}");
        assert_eq!(upstream.oracle().faults().len(), 1, "{head:?}");
    }
}

#[test]
fn an_upstream_that_went_down_comes_back_on_its_port() {
    let mut upstream = upstream_with(&["a"]);
    upstream.script_login("a", Login::Refuse("not yet"));
    upstream.go_down();
    Client::try_connect(upstream.address()).expect_err("nobody listens");
    upstream.come_up();
    upstream.script_login("a", Login::Accept);
    log_in(&upstream, "a");
}

#[test]
fn bodies_come_back_whole_in_either_framing() {
    let upstream = upstream_with(&["a"]);
    let bearer = format!("Bearer {}", log_in(&upstream, "a"));
    let body = crate::common::http::pattern(300_000);
    let mut client = Client::connect_watched(upstream.address(), &upstream);
    let chunks: Vec<&[u8]> = body.chunks(70_001).collect();
    for request in [
        Request::post("/echo", body.clone()),
        Request::post_chunks("/echo", &chunks),
    ] {
        let answer = client.ask(&request.field("Authorization", &bearer)).ok();
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
    let answer = client
        .ask(&Request::get("/bytes/100000").field("Authorization", &bearer))
        .ok();
    assert!(answer.body == crate::common::http::pattern(100_000));
    upstream.assert_clean();
}
