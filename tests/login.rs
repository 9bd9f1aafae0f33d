//! Whatever the login server does, tpp runs on, says what is wrong, and takes no harm.

use crate::common::{
    processes,
    proxy::Proxy,
    settings::{PASSWORD_MARK, Settings},
    upstream::{Login, TOKEN_MARK, Upstream},
    wait_for, wait_until,
};
use serde_json::json;

/// One account whose logins go as `login` says, beside a good one: the bad one is shown with a reason that
/// holds one of `words`, the good one serves, and when the trouble is over the bad one comes in.
fn a_bad_login_is_reported_and_harms_nobody(login: Login, words: &[&str]) {
    let upstream = Upstream::start();
    upstream.script_login("bad", login);
    let settings = Settings::in_front_of(&upstream)
        .account(&upstream, "bad", 1)
        .account(&upstream, "good", 1);
    let settings = settings
        .set("token.login_timeout_seconds", 1)
        .set("token.max_token_bytes", 1024);
    let proxy = Proxy::start_without_tokens(&settings);
    // On a machine with no time for it, a first attempt may end with the time it had: wait for one that got an answer.
    let reason = wait_for("the failure is shown in its words", || {
        let bad = proxy
            .tokens()
            .into_iter()
            .find(|token| token.user == "bad")?;
        bad.last_error.filter(|reason| {
            let reason = reason.to_lowercase();
            words.iter().any(|word| reason.contains(word))
        })
    });
    assert!(
        reason.len() < 300 && !reason.contains('\n'),
        "{reason:?} fits on a line"
    );
    assert!(
        !reason.contains(PASSWORD_MARK) && !reason.contains(TOKEN_MARK),
        "{reason:?}"
    );

    wait_until("the good account is in", || proxy.pool().total == 1);
    assert_eq!(
        proxy.client(&upstream).get("/who").ok().json()["user"],
        "good"
    );
    assert_eq!(proxy.health("/readyz").status, 200);
    let health = proxy.health("/health").json();
    assert_eq!(health["status"], "degraded", "{health}");

    upstream.script_login("bad", Login::Accept);
    assert_eq!(proxy.ctl(&["refresh", "bad"]).code, Some(0));
    wait_until("the bad account is in", || proxy.pool().total == 2);
    let peak = processes::memory_kib(proxy.supervisor_pid(), "VmHWM");
    assert!(
        peak < 150 << 10,
        "the supervisor's memory went up to {peak} KiB"
    );
    upstream.assert_clean();
}

#[test]
fn an_account_that_is_refused() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Refuse("The user is locked."),
        &["the user is locked."],
    );
}

#[test]
fn a_server_that_does_not_answer() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Hang,
        &["timed out", "timeout", "no answer", "within"],
    );
}

#[test]
fn a_server_that_closes() {
    a_bad_login_is_reported_and_harms_nobody(Login::Close, &["closed", "connection", "eof"]);
}

#[test]
fn a_server_that_breaks_off_in_the_head() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::CutHead,
        &["closed", "connection", "eof", "incomplete"],
    );
}

#[test]
fn a_server_that_does_not_speak_http() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Garbage,
        &["http", "invalid", "malformed", "parse"],
    );
}

#[test]
fn a_page_for_people() {
    a_bad_login_is_reported_and_harms_nobody(Login::Html(200), &["json", "html"]);
}

#[test]
fn a_page_for_people_with_an_error_status() {
    a_bad_login_is_reported_and_harms_nobody(Login::Html(503), &["503"]);
}

#[test]
fn an_error_status() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Json(500, json!({"error": "internal"})),
        &["500"],
    );
}

#[test]
fn an_answer_without_the_fields() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Json(200, json!({"hello": "world"})),
        &["code", "result"],
    );
}

#[test]
fn an_answer_that_is_no_object() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Json(200, json!(["0", "token"])),
        &["object", "json", "expected", "type", "answer"],
    );
}

#[test]
fn a_code_of_the_wrong_type() {
    let answer =
        json!({"session": "1", "user": "bad", "code": {"x": 1}, "message": "", "result": "abc"});
    a_bad_login_is_reported_and_harms_nobody(Login::Json(200, answer), &["code"]);
}

#[test]
fn a_token_of_the_wrong_type() {
    a_bad_login_is_reported_and_harms_nobody(Login::Result(json!(12345)), &["result", "token"]);
}

#[test]
fn a_token_that_is_null() {
    a_bad_login_is_reported_and_harms_nobody(Login::Result(json!(null)), &["result", "token"]);
}

#[test]
fn an_empty_token() {
    a_bad_login_is_reported_and_harms_nobody(Login::Result(json!("")), &["empty"]);
}

#[test]
fn a_token_of_white_space_alone() {
    a_bad_login_is_reported_and_harms_nobody(Login::Result(json!(" \r\n\t\n")), &["empty"]);
}

#[test]
fn a_token_that_is_too_long() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Result(json!("x".repeat(1025))),
        &["1024", "long"],
    );
}

#[test]
fn a_token_with_a_byte_that_no_header_may_hold() {
    a_bad_login_is_reported_and_harms_nobody(
        Login::Result(json!("abc\u{0}def")),
        &["byte", "character"],
    );
}

#[test]
fn a_token_that_is_not_ascii() {
    a_bad_login_is_reported_and_harms_nobody(Login::Result(json!("tökén")), &["byte", "character"]);
}

#[test]
fn a_hundred_megabytes_are_not_read_to_their_end() {
    let upstream = Upstream::start();
    upstream.script_login("bad", Login::Huge(100 << 20));
    let settings = Settings::in_front_of(&upstream).account(&upstream, "bad", 1);
    let proxy = Proxy::start_without_tokens(&settings);
    wait_until("the failure is shown", || {
        proxy.tokens()[0].last_error.is_some()
    });
    let taken = upstream.huge_bytes() / upstream.attempts().len();
    assert!(taken < 50 << 20, "{taken} bytes were taken");
    let peak = processes::memory_kib(proxy.supervisor_pid(), "VmHWM");
    assert!(
        peak < 150 << 10,
        "the supervisor's memory went up to {peak} KiB"
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::start();
    let target = format!("http://{}/api/login", elsewhere.address());
    a_bad_login_is_reported_and_harms_nobody(Login::Redirect(target), &["302", "redirect"]);
    assert_eq!(elsewhere.attempts(), [], "the password went nowhere else");
}

#[test]
fn a_code_that_is_a_number_is_as_good_as_a_string() {
    let upstream = Upstream::start();
    upstream.script_logins(Login::AcceptNumericCode);
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}
