//! Tokens expire; clients do not notice.

use crate::common::{
    client::Client,
    http::pattern,
    load::all_at_once,
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};
use std::sync::Mutex;

/// Every shape a request's body may have, none longer than what a worker keeps to send it again.
fn request_of_shape(number: usize) -> Request {
    let body = pattern(1 + number * 7919 % 60_000);
    match number % 4 {
        0 => Request::get("/sum"),
        1 => Request::post("/sum", body),
        2 => Request::post_chunks("/sum", &body.chunks(5000).collect::<Vec<_>>()),
        _ => Request::post("/sum", pattern(64 << 10)).field("Expect", "100-continue"),
    }
}

#[test]
fn no_client_sees_that_all_tokens_expired_and_each_slot_logs_in_once() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 16));
    let clients: Vec<_> = (0..16)
        .map(|_| Mutex::new(proxy.client(&upstream)))
        .collect();
    all_at_once(16, |number| {
        drop(
            clients[number]
                .lock()
                .expect("one thread a client")
                .get("/who")
                .ok(),
        )
    });
    upstream.expire_all();
    all_at_once(16, |number| {
        let mut client = clients[number].lock().expect("one thread a client");
        client.ask(&request_of_shape(number)).ok();
        client.get("/who").ok();
    });
    for number in 0..16 {
        assert_eq!(upstream.attempts_of(&format!("user{number}")), 2);
    }
    assert_eq!(upstream.refusals(), 16);
    assert_eq!(proxy.metric("tpp_token_errors_total"), Some(16.0));
    drop(clients);
    proxy.wait_until_all_is_back(16);
    upstream.assert_clean();
}

/// Longer than what a worker keeps to send it again.
fn long_upload() -> Request {
    Request::post("/sum", pattern((64 << 10) + 1))
}

#[test]
fn after_one_request_has_shown_that_the_server_forgot_its_tokens_no_upload_fails_of_it() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 4);
    let proxy = Proxy::start(&settings.workers(1));
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client(&upstream)).collect();
    clients.iter_mut().for_each(|client| {
        client.get("/who").ok();
    });
    upstream.expire_all();
    clients[0].get("/who").ok();
    for client in &mut clients {
        client.ask(&long_upload()).ok();
        client.ask(&long_upload()).ok();
    }
    assert_eq!(upstream.refusals(), 1, "of what was sent again");
    for number in 0..4 {
        assert_eq!(upstream.attempts_of(&format!("user{number}")), 2);
    }
    upstream.assert_clean();
}

#[test]
fn an_upload_that_was_refused_is_not_refused_again() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.expire_all();
    // Nobody knows yet, and it cannot be sent again.
    assert_eq!(client.ask(&long_upload()).status, 401);
    client.ask(&long_upload()).ok();
    assert_eq!((upstream.refusals(), upstream.attempts().len()), (1, 2));
    upstream.assert_clean();
}

#[test]
fn an_applications_own_refusals_cast_no_doubt_on_other_tokens() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let proxy = Proxy::start(&settings.workers(1));
    let [mut denied, mut other] = [proxy.client(&upstream), proxy.client(&upstream)];
    let user = other.get("/who").ok().json()["user"].clone();
    for body in [0, 100, (64 << 10) + 1] {
        let request = Request::post("/refuse", pattern(body));
        assert_eq!(denied.ask(&request).status, 401);
        denied.ask(&long_upload()).ok();
    }
    other.ask(&long_upload()).ok();
    let user = user.as_str().expect("a user");
    assert_eq!(upstream.attempts_of(user), 1);
}

#[test]
fn a_body_that_is_sent_again_arrives_whole() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = proxy.client(&upstream);
    let body = pattern(64 << 10);
    let chunks: Vec<&[u8]> = body.chunks(9999).collect();
    for request in [
        Request::post("/echo", body.clone()),
        Request::post_chunks("/echo", &chunks),
    ] {
        upstream.expire_all();
        let answer = client.ask(&request).ok();
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
    assert_eq!(upstream.attempts_of("user0"), 3);
    upstream.assert_clean();
}

#[test]
fn a_body_too_long_to_be_kept_gets_the_upstreams_401_and_the_next_request_works() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    upstream.expire_all();
    let mut client = proxy.client(&upstream);
    let answer = client.ask(&Request::post("/sum", pattern(300_000)));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (401, Some("401"))
    );
    drop(client);
    wait_until("the slot has logged in again", || {
        upstream.attempts_of("user0") == 2
    });
    proxy.wait_until_all_is_back(1);
    proxy.client(&upstream).get("/who").ok();
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn a_second_401_is_the_clients_to_see() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = proxy.client(&upstream);
    let answer = client.get("/refuse");
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (401, Some("401"))
    );
    assert_eq!(upstream.seen().len(), 2, "sent twice, not more");
    // The fresh token did not help, so it is not to blame: the next one is passed on at once.
    assert_eq!(client.get("/refuse-once").status, 401);
    assert_eq!(client.get("/refuse-once").ok().json()["user"], "user0");
    client.get("/who").ok();
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn a_request_waits_for_the_new_token_while_others_go_on() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(
        &Settings::in_front_of(&upstream)
            .accounts(&upstream, 2)
            .workers(1),
    );
    let mut clients = [proxy.client(&upstream), proxy.client(&upstream)];
    let users = clients
        .each_mut()
        .map(|client| client.get("/who").ok().json()["user"].clone());
    let user = users[0].as_str().expect("a name");
    upstream.script_login(user, Login::AcceptAtGate("login"));
    upstream.expire(user);
    clients[0].send(&Request::post("/sum", "abc"));
    wait_until("a login is under way", || {
        upstream.gates().waiting_at("login") == 1
    });
    for _ in 0..5 {
        clients[1].get("/who").ok();
    }
    assert_eq!(
        upstream.attempts_of(user),
        2,
        "one login, however long it takes"
    );
    upstream.gates().open("login");
    assert_eq!(clients[0].read_answer().ok().json()["length"], 3);
    upstream.assert_clean();
}

#[test]
fn a_client_that_leaves_while_its_token_is_renewed_frees_the_slot() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    upstream.script_login("user0", Login::AcceptAtGate("login"));
    upstream.expire_all();
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/who"));
    wait_until("a login is under way", || {
        upstream.gates().waiting_at("login") == 1
    });
    client.reset();
    wait_until("the lease is over", || proxy.pool().in_use == 0);
    upstream.gates().open("login");
    proxy.wait_until_all_is_back(1);
    proxy.client(&upstream).get("/who").ok();
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn tokens_are_renewed_before_their_time_is_up() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 3);
    let settings = settings
        .set("token.ttl_seconds", 2)
        .set("token.refresh_check_seconds", 1);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client(&upstream);
    let user = client.get("/who").ok().json()["user"].clone();
    wait_until("each account has logged in three times", || {
        assert_eq!(client.get("/who").ok().json()["user"], user);
        (0..3).all(|number| upstream.attempts_of(&format!("user{number}")) >= 3)
    });
    assert_eq!(upstream.refusals(), 0, "no token ran out");
    drop(client);
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn a_login_in_trouble_leaves_the_old_token_in_use() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let settings = settings
        .set("token.ttl_seconds", 60)
        .set("token.refresh_check_seconds", 1);
    let proxy = Proxy::start(&settings);
    upstream.script_logins(Login::Close);
    let refreshed = proxy.ctl(&["refresh", "--all"]);
    wait_until("a login was tried again", || {
        upstream.attempts_of("user0") >= 2
    });
    println!("{refreshed:?}");
    assert_eq!(proxy.pool().total, 1);
    proxy.client(&upstream).get("/who").ok();
    upstream.script_logins(Login::Accept);
    wait_until("the new token is in", || {
        proxy.tokens()[0].last_error.is_none()
    });
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn an_account_refused_at_its_renewal_is_set_aside_and_the_others_go_on() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 3);
    let settings = settings
        .set("token.ttl_seconds", 2)
        .set("token.refresh_check_seconds", 1);
    let proxy = Proxy::start(&settings);
    upstream.script_login("user1", Login::Refuse("The account is locked."));
    wait_until("it is out of use", || proxy.pool().total == 2);
    let attempts = upstream.attempts_of("user1");
    let others = upstream.attempts_of("user0");
    wait_until("the others are renewed twice", || {
        upstream.attempts_of("user0") >= others + 2
    });
    assert_eq!(
        upstream.attempts_of("user1"),
        attempts,
        "not asked again soon"
    );

    let slot = proxy
        .tokens()
        .into_iter()
        .find(|token| token.user == "user1")
        .expect("its slot is shown");
    assert_eq!(slot.state, "refused");
    assert!(
        slot.last_error
            .is_some_and(|error| error.contains("The account is locked."))
    );
    let status = proxy.status();
    assert!(
        status.reasons.iter().any(|reason| reason.contains("user1")),
        "{:?}",
        status.reasons
    );
    assert!(proxy.log().contains("user1"));

    upstream.script_login("user1", Login::Accept);
    assert_eq!(proxy.ctl(&["refresh", "user1"]).code, Some(0));
    wait_until("it is in use again", || proxy.pool().total == 3);
    upstream.assert_clean();
}

#[test]
fn a_refused_renewal_shows_its_holder_the_upstreams_401() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client: Client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.script_login("user0", Login::Refuse("The account is locked."));
    upstream.expire_all();
    assert_eq!(client.get("/who").status, 401);
    assert_eq!(upstream.attempts_of("user0"), 2);
    drop(client);
    wait_until("the slot is out of use", || {
        (proxy.pool().total, proxy.pool().in_use) == (0, 0)
    });
    assert_eq!(proxy.health("/readyz").status, 503);
    upstream.assert_clean();
}
