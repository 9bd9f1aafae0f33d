//! How all the accounts come in: when, how many at once, and what clients see meanwhile.

use std::time::{Duration, Instant};

use crate::common::{
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};

#[test]
fn a_refused_password_is_not_tried_again_soon_but_trouble_is() {
    let upstream = Upstream::start();
    upstream.script_login("locked", Login::Refuse("The user is locked."));
    upstream.script_login("unlucky", Login::Close);
    let settings = Settings::in_front_of(&upstream)
        .account(&upstream, "locked", 1)
        .account(&upstream, "unlucky", 1);
    let proxy = Proxy::start_without_tokens(&settings.set("token.refresh_check_seconds", 1));
    wait_until("trouble is tried again", || {
        upstream.attempts_of("unlucky") >= 3
    });
    assert_eq!(upstream.attempts_of("locked"), 1);
    upstream.script_login("unlucky", Login::Accept);
    wait_until("it is in without being asked", || proxy.pool().total == 1);
    assert_eq!(
        proxy.client(&upstream).get("/who").ok().json()["user"],
        "unlucky"
    );
    assert_eq!(upstream.attempts_of("locked"), 1);
}

#[test]
fn clients_wait_while_the_login_server_is_down_and_are_served_when_it_comes() {
    let mut upstream = Upstream::start();
    upstream.go_down();
    let proxy =
        Proxy::start_without_tokens(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    assert_eq!(proxy.health("/livez").status, 200);
    assert_eq!(proxy.health("/readyz").status, 503);
    let health = proxy.health("/health").json();
    assert_eq!(health["status"], "unhealthy", "{health}");
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/who"));
    wait_until("the client waits", || proxy.pool().waiting == 1);
    upstream.come_up();
    client.read_answer().ok();
    assert_eq!(proxy.health("/readyz").status, 200);
    upstream.assert_clean();
}

#[test]
fn the_first_token_serves_while_the_other_logins_are_under_way() {
    let upstream = Upstream::start();
    upstream.script_logins(Login::AcceptAtGateAfter(1, "the others"));
    let settings = Settings::in_front_of(&upstream).account(&upstream, "many", 200);
    let proxy = Proxy::start_without_tokens(&settings.set("token.login_concurrency", 8));
    proxy.client(&upstream).get("/who").ok();
    wait_until("as many logins are under way as may be", || {
        upstream.logins_under_way().0 == 8
    });
    assert_eq!(proxy.pool().total, 1);
    upstream.gates().open("the others");
    proxy.wait_until_all_is_back(200);
    assert_eq!(upstream.logins_under_way().1, 8, "never more than that");
    assert_eq!(upstream.attempts().len(), 200);
}

#[test]
fn two_hundred_sessions_behind_a_slow_login_all_come_in() {
    let upstream = Upstream::start();
    upstream.script_logins(Login::AcceptAfter(Duration::from_millis(100)));
    let settings = Settings::in_front_of(&upstream).account(&upstream, "many", 200);
    let begin = Instant::now();
    let proxy = Proxy::start_without_tokens(&settings);
    proxy.client(&upstream).get("/who").ok();
    let (first, tokens_then) = (begin.elapsed(), proxy.pool().total);
    proxy.wait_until_all_is_back(200);
    println!(
        "first request served after {first:?}, with {tokens_then} tokens in; all in after {:?}",
        begin.elapsed()
    );
    assert_eq!(upstream.attempts().len(), 200);
    let most = upstream.logins_under_way().1;
    assert!((2..=16).contains(&most), "{most} logins at once");
    upstream.assert_clean();
}

#[test]
fn a_login_path_of_ones_own_is_asked() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy =
        Proxy::start_without_tokens(&settings.set("token.login_path", "\"/elsewhere/login\""));
    wait_until("the upstream was asked there", || {
        upstream.seen().iter().any(|seen| {
            (seen.method.as_str(), seen.target.as_str()) == ("POST", "/elsewhere/login")
        })
    });
    assert_eq!(upstream.attempts(), []);
    assert_eq!(proxy.pool().total, 0);
}

#[test]
fn a_login_that_hangs_holds_up_no_other() {
    let upstream = Upstream::start();
    upstream.script_login("hangs", Login::Hang);
    let settings = Settings::in_front_of(&upstream)
        .account(&upstream, "hangs", 2)
        .accounts(&upstream, 8);
    let settings = settings
        .set("token.login_concurrency", 3)
        .set("token.login_timeout_seconds", 300);
    let proxy = Proxy::start_without_tokens(&settings);
    wait_until("all the others are in", || proxy.pool().total == 8);
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}
