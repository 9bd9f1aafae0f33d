//! Nothing that holds a token waits without a bound, and no token is at work for two: readers that stop, drips, clients
//! that end their side or leave while the upstream works for them.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::common::{
    client::Client, http::pattern, message::Request, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};

/// More than all buffers between the upstream and a client hold.
const LARGE: usize = 50_000_000;

/// An upstream that watches what is at work, and a tpp with one token in front of it.
fn one_token(settings: impl FnOnce(Settings) -> Settings) -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    upstream.oracle().watch_service();
    let proxy = Proxy::start(&settings(
        Settings::in_front_of(&upstream).accounts(&upstream, 1),
    ));
    (upstream, proxy)
}

/// The one token is lent to another client.
#[track_caller]
fn the_next_is_served(upstream: &Upstream, proxy: &Proxy) {
    proxy.client(upstream).get("/who").ok();
}

#[track_caller]
fn assert_ended(proxy: &Proxy, reason: &str, times: f64) {
    let name = format!("tpp_waits_ended_total{{reason=\"{reason}\"}}");
    assert_eq!(proxy.metric(&name), Some(times), "{reason}");
    let log = proxy.log();
    let says = format!("reason=\"{reason}\"");
    let line = log.lines().find(|line| line.contains(&says));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains(" INFO ") && line.contains(" slot=0 "),
        "{line}"
    );
    let held = line.split_once(" held_ms=").map(|(_, held)| held);
    let held = held.and_then(|held| held.split(' ').next()?.parse::<u64>().ok());
    // Each of these bounds is of a second, or of six.
    assert!(held.is_some_and(|held| held >= 900), "{line}");
}

/// Asks for a large answer and comes to its head. What follows stays unread.
fn read_a_head(upstream: &Upstream, proxy: &Proxy, path: &str) -> Client {
    let mut deaf = proxy.client(upstream);
    deaf.narrow();
    deaf.send(&Request::get(&format!("/{path}/{LARGE}")));
    assert_eq!(deaf.read_any_head().expect("an answer").0, 200);
    // It is hung up without a word that could be seen behind what is unread.
    deaf.forsake();
    deaf
}

#[test]
fn who_stops_reading_loses_his_token_whatever_ends_the_answer() {
    let (upstream, proxy) = one_token(|settings| settings.set("client.stall_timeout_seconds", 1));
    let ways = ["bytes", "chunks", "until-close"];
    let deaf = ways.map(|path| {
        let deaf = read_a_head(&upstream, &proxy, path);
        the_next_is_served(&upstream, &proxy);
        deaf
    });
    proxy.wait_until_all_is_back(1);
    assert_ended(&proxy, "client_reads_nothing", 3.0);
    drop(deaf);
    upstream.assert_clean();
}

#[test]
fn who_stops_reading_is_cut_when_the_token_was_held_for_long_enough() {
    let (upstream, proxy) = one_token(|settings| {
        settings
            .set("client.stall_timeout_seconds", 0)
            .set("client.min_rate_bytes_per_second", 0)
            .set("lease.max_hold_seconds", 1)
            .set("lease.max_hold_grace_seconds", 1)
    });
    let deaf = read_a_head(&upstream, &proxy, "bytes");
    the_next_is_served(&upstream, &proxy);
    assert_ended(&proxy, "hold", 1.0);
    drop(deaf);
    upstream.assert_clean();
}

/// A client that has had an answer and stays in the middle of its next request's head.
fn in_mid_head(upstream: &Upstream, proxy: &Proxy) -> Client {
    let mut client = proxy.client(upstream);
    client.get("/who").ok();
    client.send_raw(b"GET /who HTT");
    client
}

#[test]
fn who_ends_no_head_loses_his_token() {
    let (upstream, proxy) = one_token(|settings| settings.set("client.head_timeout_seconds", 1));
    let mut slow = in_mid_head(&upstream, &proxy);
    assert_eq!(slow.read_answer().status, 408);
    the_next_is_served(&upstream, &proxy);
    assert_ended(&proxy, "client_head", 1.0);
    upstream.assert_clean();
}

#[test]
fn who_ends_no_head_is_cut_when_the_token_was_held_for_long_enough() {
    let (upstream, proxy) = one_token(|settings| {
        settings
            .set("client.head_timeout_seconds", 0)
            .set("lease.idle_timeout_seconds", 0)
            .set("lease.contended_idle_ms", 0)
            .set("lease.max_hold_seconds", 1)
            .set("lease.max_hold_grace_seconds", 0)
    });
    let mut slow = in_mid_head(&upstream, &proxy);
    assert_eq!(slow.read_answer().status, 408);
    the_next_is_served(&upstream, &proxy);
    assert_ended(&proxy, "hold", 1.0);
    upstream.assert_clean();
}

#[test]
fn who_reads_drop_by_drop_loses_his_token() {
    let (upstream, proxy) = one_token(|settings| {
        settings
            .set("client.stall_timeout_seconds", 600)
            .set("client.min_rate_bytes_per_second", 1_000_000)
    });
    let mut slow = proxy.client(&upstream);
    slow.send(&Request::get(&format!("/bytes/{LARGE}")));
    assert_eq!(slow.read_any_head().expect("an answer").0, 200);
    slow.forsake();
    // Something moves now and then, so that it does not count as nothing at all.
    while_it_drips(
        || drop(slow.sip(10_000)),
        || the_next_is_served(&upstream, &proxy),
    );
    assert_ended(&proxy, "client_reads_slowly", 1.0);
    upstream.assert_clean();
}

/// Runs `drip` every few milliseconds while `meanwhile` runs.
fn while_it_drips(mut drip: impl FnMut() + Send, meanwhile: impl FnOnce()) {
    struct SetAtDrop<'a>(&'a AtomicBool);
    impl Drop for SetAtDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                drip();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let _over = SetAtDrop(&over);
        meanwhile();
    });
}

#[test]
fn a_short_body_that_drips_holds_no_token_at_all() {
    let (upstream, proxy) = one_token(|settings| settings);
    let mut slow = proxy.client(&upstream);
    slow.send_head(&Request::post("/sum", vec![b'x'; 60_000]));
    while_it_drips(
        || slow.send_raw(b"x"),
        || {
            for _ in 0..10 {
                the_next_is_served(&upstream, &proxy);
            }
            proxy.wait_until_all_is_back(1);
        },
    );
    assert_eq!(upstream.seen().len(), 10);
    upstream.assert_clean();
}

#[test]
fn a_long_body_that_drips_is_cut_when_the_token_was_held_for_long_enough() {
    let (upstream, proxy) = one_token(|settings| {
        settings
            .set("lease.max_hold_seconds", 1)
            .set("lease.max_hold_grace_seconds", 0)
    });
    let mut slow = proxy.client(&upstream);
    slow.send_head(&Request::post("/sum", vec![b'x'; 1_000_000]));
    slow.send_raw(&pattern(64 << 10));
    wait_until("it has the token", || proxy.pool().in_use == 1);
    while_it_drips(
        // Its connection is closed one day.
        || drop(slow.try_send_raw(b"x")),
        || the_next_is_served(&upstream, &proxy),
    );
    assert_ended(&proxy, "hold", 1.0);
    upstream.assert_clean();
}

#[test]
fn a_long_body_that_drips_is_cut_for_its_rate() {
    let (upstream, proxy) = one_token(|settings| {
        settings
            .set("client.stall_timeout_seconds", 3)
            .set("client.min_rate_bytes_per_second", 100_000)
    });
    let mut slow = proxy.client(&upstream);
    let request = Request::post("/sum", vec![b'x'; 1_000_000]).field("Expect", "100-continue");
    slow.send_head(&request);
    assert_eq!(slow.read_any_head().expect("an interim answer").0, 100);
    while_it_drips(
        || drop(slow.try_send_raw(b"x")),
        || the_next_is_served(&upstream, &proxy),
    );
    slow.read_to_close();
    assert_ended(&proxy, "client_sends_slowly", 1.0);
    upstream.assert_clean();
}

/// A client at the gate `shut` of the upstream, and one in line behind it.
fn at_work_and_in_line(upstream: &Upstream, proxy: &Proxy) -> (Client, Client) {
    let mut first = proxy.client(upstream);
    first.send(&Request::get("/gate/shut"));
    wait_until("it is in service", || {
        upstream.gates().waiting_at("shut") == 1
    });
    let mut second = proxy.client(upstream);
    second.send(&Request::get("/who"));
    wait_until("one waits", || proxy.pool().waiting == 1);
    (first, second)
}

/// As long as the gate is shut, whatever tpp does.
fn assert_still_waits(proxy: &Proxy, client: &Client) {
    // Many looks of every part of tpp.
    for _ in 0..20 {
        assert_eq!(proxy.pool().waiting, 1);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(client.is_idle());
}

#[test]
fn a_token_whose_client_left_goes_on_when_the_upstream_has_done_its_work() {
    let (upstream, proxy) = one_token(|settings| settings);
    let (first, mut second) = at_work_and_in_line(&upstream, &proxy);
    first.reset();
    assert_still_waits(&proxy, &second);
    upstream.gates().open("shut");
    second.read_answer().ok();
    assert_eq!(upstream.attempts_of("user0"), 1, "no login for it");
    upstream.assert_clean();
}

#[test]
fn a_token_whose_client_left_goes_on_as_it_is_where_that_is_chosen() {
    let (upstream, proxy) = one_token(|settings| settings.set("lease.abandoned", "\"release\""));
    let (first, mut second) = at_work_and_in_line(&upstream, &proxy);
    first.reset();
    second.read_answer().ok();
    assert_eq!(upstream.attempts_of("user0"), 1);
    let overlaps = upstream.oracle().take_overlaps();
    assert_eq!(overlaps.len(), 1, "the judge sees it: {overlaps:?}");
}

#[test]
fn a_token_whose_request_took_too_long_goes_on_when_the_upstream_has_done_its_work() {
    let (upstream, proxy) =
        one_token(|settings| settings.set("upstream.response_header_timeout_seconds", 1));
    let (mut first, mut second) = at_work_and_in_line(&upstream, &proxy);
    assert_eq!(first.read_answer().status, 504);
    drop(first);
    assert_still_waits(&proxy, &second);
    upstream.gates().open("shut");
    second.read_answer().ok();
    assert_eq!(upstream.attempts_of("user0"), 1);
    upstream.assert_clean();
}

#[test]
fn who_ends_his_side_after_a_request_is_answered() {
    let (upstream, proxy) = one_token(|settings| settings);
    for request in [
        Request::get("/who"),
        Request::get("/delay/300"),
        Request::post("/sum", "hello"),
        Request::post_chunks("/echo", &[b"hello", b"hello"]),
    ] {
        let mut client = proxy.client(&upstream);
        client.send(&request);
        client.half_close();
        client.read_answer().ok();
        assert_eq!(client.read_to_close(), b"");
        proxy.wait_until_all_is_back(1);
    }
    assert_eq!(upstream.attempts_of("user0"), 1);
    upstream.assert_clean();
}

#[test]
fn who_ends_his_side_in_line_has_left_it() {
    let (upstream, proxy) = one_token(|settings| settings);
    let (mut first, mut second) = at_work_and_in_line(&upstream, &proxy);
    second.half_close();
    wait_until("nobody waits", || proxy.pool().waiting == 0);
    assert_eq!(second.read_to_close(), b"");
    // The one at work may end its side, too.
    first.half_close();
    upstream.gates().open("shut");
    first.read_answer().ok();
    proxy.wait_until_all_is_back(1);
    assert_eq!(upstream.seen().len(), 1);
    upstream.assert_clean();
}

#[test]
fn a_token_whose_client_left_goes_on_after_a_login_when_the_upstream_works_for_too_long() {
    let (upstream, proxy) = one_token(|settings| settings.set("lease.abandoned_wait_seconds", 1));
    let (first, mut second) = at_work_and_in_line(&upstream, &proxy);
    first.reset();
    second.read_answer().ok();
    assert_eq!(upstream.gates().waiting_at("shut"), 1, "it works on");
    assert_eq!(upstream.attempts_of("user0"), 2);
    assert_ended(&proxy, "abandoned", 1.0);
    upstream.assert_clean();
}

#[test]
fn a_token_whose_client_left_goes_on_after_a_login_at_once_where_that_is_chosen() {
    let (upstream, proxy) = one_token(|settings| settings.set("lease.abandoned", "\"login\""));
    let (first, mut second) = at_work_and_in_line(&upstream, &proxy);
    first.reset();
    second.read_answer().ok();
    assert_eq!(upstream.gates().waiting_at("shut"), 1, "it works on");
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn where_each_lease_ends_with_a_login_no_two_clients_share_a_token() {
    let (upstream, proxy) = one_token(|settings| settings.set("lease.reset", "\"login\""));
    for number in 1..=3 {
        let mut client = proxy.client(&upstream);
        client.get("/who").ok();
        client.get("/who").ok();
        assert_eq!(upstream.attempts_of("user0"), number);
        drop(client);
        proxy.wait_until_all_is_back(1);
    }
    upstream.assert_clean();
}
