//! Busy, trouble, refused: what each failed login, and each 401, comes to for clients.

use crate::common::{
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};

/// What DolphinDB says when it is full.
const FULL: Login = Login::Refuse("Maximum connections 512 reached. RefId:S00006");

#[test]
fn a_busy_server_is_asked_again_soon_and_the_old_tokens_stay_lent() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 3));
    upstream.script_logins(FULL);
    assert_eq!(proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("each account was tried twice", || {
        (0..3).all(|number| upstream.attempts_of(&format!("user{number}")) >= 3)
    });
    assert_eq!(proxy.pool().total, 3, "no good token is given up");
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client(&upstream)).collect();
    for client in &mut clients {
        client.get("/who").ok();
    }
    for token in proxy.tokens() {
        let error = token.last_error.expect("the failure is shown");
        assert!(error.contains("S00006"), "{error}");
        assert_ne!(token.state, "refused");
    }
    upstream.script_logins(Login::Accept);
    wait_until("all are renewed without being asked", || {
        proxy
            .tokens()
            .iter()
            .all(|token| token.last_error.is_none())
    });
    drop(clients);
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn a_server_that_is_not_ready_when_tpp_starts_is_waited_for() {
    let upstream = Upstream::start();
    upstream.script_logins(Login::Refuse("The data node is not ready."));
    let proxy =
        Proxy::start_without_tokens(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/who"));
    wait_until("it is asked again", || upstream.attempts_of("user0") >= 3);
    assert_eq!(proxy.pool().waiting, 1, "clients wait");
    upstream.script_logins(Login::Accept);
    client.read_answer().ok();
    upstream.assert_clean();
}

#[test]
fn an_applications_own_401_costs_one_login_and_no_more() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = proxy.client(&upstream);
    for _ in 0..10 {
        assert_eq!(client.get("/refuse").status, 401);
    }
    client.get("/who").ok();
    assert_eq!(client.get("/refuse").status, 401);
    assert_eq!(upstream.attempts_of("user0"), 2);
    assert_eq!(upstream.seen().len(), 13, "the first was sent twice");
    drop(client);
    proxy.wait_until_all_is_back(1);
    assert_eq!(
        proxy.client(&upstream).get("/refuse").status,
        401,
        "whoever has the slot"
    );
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn a_401_while_the_account_rests_is_answered_without_a_wait() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    // A wait for a login would be one of five minutes, and fail the test.
    let proxy = Proxy::start(&settings.set("token.login_timeout_seconds", 300));
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.script_logins(Login::Refuse("The user is locked."));
    assert_eq!(proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("the account rests, and status says so", || {
        let reasons = proxy.status().reasons;
        reasons.iter().any(|reason| reason.contains("user0"))
    });
    client.get("/who").ok();
    upstream.expire_all();
    for _ in 0..3 {
        assert_eq!(client.get("/who").status, 401);
    }
    assert_eq!(upstream.attempts_of("user0"), 2);
    upstream.assert_clean();
}

#[test]
fn when_all_accounts_are_refused_clients_are_told_so_at_once() {
    let upstream = Upstream::start();
    upstream.script_logins(Login::Close);
    let proxy =
        Proxy::start_without_tokens(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let mut waiting = proxy.client(&upstream);
    waiting.send(&Request::get("/who"));
    wait_until("it stands in line", || proxy.pool().waiting == 1);
    upstream.script_logins(Login::Refuse("The user name or password is incorrect."));
    let told = waiting.read_answer();
    assert_eq!(told.status, 503);
    let details = told.json()["details"].to_string();
    assert!(details.contains("all 2 accounts"), "{details}");
    assert!(!details.contains("user0"), "{details}");
    assert_eq!(proxy.client(&upstream).get("/who").status, 503, "a new one");
    let health = proxy.health("/health").json();
    assert_eq!(health["status"], "unhealthy", "{health}");
    assert!(health.to_string().contains("all 2 accounts"), "{health}");
    assert_eq!(proxy.pool().waiting, 0);

    upstream.script_login("user1", Login::Accept);
    assert_eq!(proxy.ctl(&["refresh", "user1"]).code, Some(0));
    wait_until("one is in", || proxy.pool().total == 1);
    wait_until("clients are served", || {
        proxy.client(&upstream).get("/who").status == 200
    });
    upstream.assert_clean();
}

#[test]
fn clients_may_log_in_themselves_unless_the_configuration_says_no() {
    let body = r#"{"username":"user0","password":"guess"}"#;
    for (allowed, status) in [(true, 200), (false, 403)] {
        let upstream = Upstream::start();
        let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
        let proxy = Proxy::start(&settings.set("token.login_from_clients", allowed));
        // Each on a connection of its own: after a refusal nobody reads the rest of the body.
        for target in ["/api/login", "/x/..//api/%6Cogin?a"] {
            if target == "/api/login" || !allowed {
                let request = Request::post(target, body);
                let answer = proxy.client(&upstream).ask(&request);
                assert_eq!(answer.status, status, "{target}");
            }
        }
        assert_eq!(upstream.attempts_of("user0"), 1 + usize::from(allowed));
        proxy.client(&upstream).get("/who").ok();
    }
}

#[test]
fn a_stale_token_that_is_answered_403_is_renewed_where_the_configuration_says_so() {
    let upstream = Upstream::start();
    upstream.refuse_with(403);
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("token.renew_on", "[401, 403]"));
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.expire_all();
    client.get("/who").ok();
    assert_eq!(upstream.attempts_of("user0"), 2);
    // The application's own.
    for _ in 0..5 {
        assert_eq!(client.get("/status/403").status, 403);
    }
    assert_eq!(upstream.attempts_of("user0"), 3);
    upstream.assert_clean();
}
