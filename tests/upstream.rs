//! An upstream that is down, slow or breaks off: the client hears of it, and the lease ends as it should.

use crate::common::{
    message::{Answer, Request},
    processes,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};

/// Checks that `answer` is one of tpp's own, in JSON, with this status.
#[track_caller]
fn assert_own(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/json"),
        "{:?}",
        answer.head
    );
    let body = answer.json();
    let filled = |key: &str| body[key].as_str().is_some_and(|text| !text.is_empty());
    assert!(filled("error") && filled("details"), "{body}");
}

fn pair(key: &str, value: u64) -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set(key, value));
    (upstream, proxy)
}

#[test]
fn an_upstream_that_is_down_is_a_502_and_one_that_is_back_serves() {
    let (mut upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    upstream.go_down();
    for _ in 0..3 {
        let mut client = proxy.client(&upstream);
        assert_own(&client.ask(&Request::post("/sum", b"abc".to_vec())), 502);
    }
    proxy.wait_until_all_is_back(1);
    upstream.come_up();
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_upstream_that_restarted_is_not_noticed() {
    let (mut upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.go_down();
    upstream.come_up();
    client.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_upstream_that_closes_or_resets_without_an_answer_is_a_502() {
    let (upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    for target in ["/drop", "/reset", "/cut-head"] {
        let mut client = proxy.client(&upstream);
        assert_own(&client.ask(&Request::post(target, b"abc".to_vec())), 502);
        drop(client);
        proxy.wait_until_all_is_back(1);
    }
    upstream.assert_clean();
}

#[test]
fn an_answer_that_is_not_http_is_a_502() {
    let (upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    assert_own(&proxy.client(&upstream).get("/garbage"), 502);
    proxy.wait_until_all_is_back(1);
}

#[test]
fn a_slow_upstream_is_a_504_and_its_late_answer_goes_to_nobody() {
    let (upstream, proxy) = pair("upstream.response_header_timeout_seconds", 1);
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/gate/late"));
    assert_own(&client.read_answer(), 504);
    drop(client);
    // As long as the server is at work, its token is not lent on.
    wait_until("the token is held", || proxy.pool().in_use == 1);
    upstream.gates().open("late");
    proxy.wait_until_all_is_back(1);
    let mut next = proxy.client(&upstream);
    for seq in 1..=3 {
        assert_eq!(next.get("/who").ok().json()["seq"], seq);
    }
    upstream.assert_clean();
}

#[test]
fn a_pause_in_the_body_is_no_slow_answer() {
    let (upstream, proxy) = pair("upstream.response_header_timeout_seconds", 1);
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/steps/pause/2"));
    assert_eq!(client.read_any_head().expect("an answer").0, 200);
    client.read_raw(12);
    outlast_one_second();
    upstream.gates().open("pause-1");
    assert_eq!(client.read_raw(17), b"7\r\nstep 1;\r\n0\r\n\r\n");
    client.get("/who").ok();
}

#[test]
fn a_pause_in_the_request_is_no_slow_answer() {
    let (upstream, proxy) = pair("upstream.response_header_timeout_seconds", 1);
    let mut client = proxy.client(&upstream);
    client.send_head(&Request::post("/sum", b"hello".to_vec()));
    client.send_raw(b"he");
    outlast_one_second();
    client.send_raw(b"llo");
    assert_eq!(client.read_answer().ok().json()["length"], 5);
}

/// The passing of time itself is what these tests are about: twice the limit of a second.
fn outlast_one_second() {
    std::thread::sleep(std::time::Duration::from_secs(2));
}

#[test]
fn a_time_limit_of_zero_is_none() {
    let (upstream, proxy) = pair("upstream.response_header_timeout_seconds", 0);
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/gate/long"));
    outlast_one_second();
    upstream.gates().open("long");
    client.read_answer().ok();
}

#[test]
fn an_answer_cut_short_is_cut_short_for_the_client_too() {
    let (upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    for target in ["/cut/20000000", "/cut-chunks/20000000"] {
        let mut client = proxy.client(&upstream);
        let error = client
            .try_ask(&Request::get(target))
            .expect_err("the answer is not whole");
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof,
            "{target}: {error}"
        );
        drop(client);
        proxy.wait_until_all_is_back(1);
    }
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_answer_cut_short_at_its_start_is_a_502_or_cut_too() {
    let (upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    for target in ["/cut/5000", "/cut-chunks/5000", "/cut/0"] {
        let mut client = proxy.client(&upstream);
        match client.try_ask(&Request::get(target)) {
            Ok(answer) => assert_own(&answer, 502),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
        }
        drop(client);
        proxy.wait_until_all_is_back(1);
    }
    upstream.assert_clean();
}

#[test]
fn an_answer_before_the_body_was_read_reaches_the_client() {
    let (upstream, proxy) = pair("upstream.connect_timeout_seconds", 2);
    let mut client = proxy.client(&upstream);
    let bytes = client.bytes_of(&Request::post("/early", vec![b'x'; 200_000]));
    // Half of the body is still to come when the upstream has had enough. The other half is what a token is lent for.
    client.send_raw(&bytes[..bytes.len() / 2]);
    assert_eq!(client.read_answer().status, 413);
    drop(client);
    proxy.wait_until_all_is_back(1);
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_in_the_log_and_not_the_end() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy =
        Proxy::start_without_tokens(&settings.set("upstream.host", "\"no-such-host.invalid\""));
    wait_until("the log names the host", || {
        proxy.log().contains("no-such-host.invalid")
    });
    assert_eq!(proxy.health("/livez").status, 200);
    assert_eq!(proxy.health("/readyz").status, 503);
    assert_eq!(proxy.ready_workers().len(), 2);
    assert!(
        proxy
            .workers()
            .iter()
            .all(|worker| processes::is_alive(worker.pid))
    );
}

#[test]
fn a_name_is_resolved() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("upstream.host", "\"localhost\""));
    proxy.client(&upstream).get("/who").ok();
    let address = upstream.address().to_string();
    assert!(
        proxy.status().upstream_addresses.contains(&address),
        "{:?}",
        proxy.status()
    );
}

#[test]
fn idle_upstream_connections_are_used_again() {
    let (upstream, proxy) = pair("workers.count", 1);
    for _ in 0..20 {
        proxy.client(&upstream).get("/who").ok();
    }
    // One for the logins, one or two for the requests; not twenty.
    assert!(
        upstream.connections() <= 4,
        "{} connections",
        upstream.connections()
    );
    upstream.cut_connections();
    wait_until("the upstream is rid of them", || {
        upstream.connections() == 0
    });
    proxy.client(&upstream).get("/who").ok();
}
