//! Logins of any shape whose answers are JSON.

use std::time::Duration;

use serde_json::json;
use tpp::config::{Login, LoginOk, Pool, Provider as Kind};

use super::{
    server::{Server, http},
    *,
};

const GOOD: &str = r#"{"code":0,"msg":"","data":{"token":"tok-1","expires":7200}}"#;

/// The login of a server that says `{"code", "msg", "data": {"token", "expires"}}`.
fn login(server: &Server) -> Login {
    Login {
        url: Some(format!("http://{}/login?a=b", server.address)),
        body: Some(r#"{"user":"{username}","pass":"{password}"}"#.to_owned()),
        token: Some("/data/token".to_owned()),
        expires_in: Some("/data/expires".to_owned()),
        ok: LoginOk {
            pointer: Some("/code".to_owned()),
            equals: Some(json!(0)),
        },
        message: Some("/msg".to_owned()),
        busy_pattern: Some("(?i)too many sessions".to_owned()),
        ..Login::default()
    }
}

fn pool(login: Login) -> Pool {
    pool_of(Kind::Json, login)
}

async fn outcome(answer: impl Into<Vec<u8>>) -> Result<Grant, LoginError> {
    let server = Server::answering(answer).await;
    grant(&pool(login(&server)), &with_extra("ann", &[])).await
}

#[tokio::test]
async fn the_body_is_filled_and_the_token_found_by_its_pointer() {
    let server = Server::answering(http("200 OK", GOOD)).await;
    let mut account = with_extra("ann \"the\" admin", &[]);
    account.password = Secret::new("a\"b\\c\n{username}".to_owned());
    let grant = grant(&pool(login(&server)), &account).await.unwrap();
    assert_eq!(grant.secret.expose(), b"tok-1");
    assert_eq!(grant.expires_in, Some(Duration::from_secs(7200)));
    let request = server.requests().concat();
    assert!(
        request.starts_with("POST /login?a=b HTTP/1.1\r\n"),
        "{request}"
    );
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = json!({"user": "ann \"the\" admin", "pass": "a\"b\\c\n{username}"});
    assert_eq!(body, expected, "a value is never filled in itself");
}

#[tokio::test]
async fn a_form_and_headers_take_any_field_of_the_account() {
    let server = Server::answering(http("200 OK", GOOD)).await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("X-Tenant", "t={tenant}"),
    ];
    let pool = pool(Login {
        body: Some("u={username}&p={password}&t={tenant}".to_owned()),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..login(&server)
    });
    let account = with_extra("a&b", &[("tenant", "x y")]);
    grant(&pool, &account).await.unwrap();
    let request = server.requests().concat();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("u=a%26b&p={PASSWORD}&t=x+y"));
    let head = head.to_lowercase();
    assert!(head.contains("x-tenant: t=x y"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    assert!(!head.contains("content-type: application/json"), "{head}");
}

#[tokio::test]
async fn an_account_without_a_field_that_is_asked_for_is_told() {
    let server = Server::answering(http("200 OK", GOOD)).await;
    let body = Some(r#"{"pin":"{pin}"}"#.to_owned());
    let pool = pool(Login {
        body,
        ..login(&server)
    });
    let error = grant(&pool, &with_extra("ann", &[])).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refused);
    assert!(error.to_string().contains("\"pin\""), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn success_is_what_ok_says() {
    for (ok, body, good) in [
        (Some(json!(0)), r#"{"code":"0","data":{"token":"t"}}"#, true),
        (Some(json!(0)), r#"{"code":0.0,"data":{"token":"t"}}"#, true),
        (Some(json!("0")), r#"{"code":0,"data":{"token":"t"}}"#, true),
        (
            Some(json!("OK")),
            r#"{"code":" ok ","data":{"token":"t"}}"#,
            true,
        ),
        (
            Some(json!(true)),
            r#"{"code":"true","data":{"token":"t"}}"#,
            true,
        ),
        (
            Some(json!(true)),
            r#"{"code":true,"data":{"token":"t"}}"#,
            true,
        ),
        (None, r#"{"code":"any","data":{"token":"t"}}"#, true),
        (None, r#"{"code":false,"data":{"token":"t"}}"#, false),
        (Some(json!(0)), r#"{"code":1,"data":{"token":"t"}}"#, false),
        (
            Some(json!(true)),
            r#"{"code":1,"data":{"token":"t"}}"#,
            false,
        ),
        (
            Some(json!("OK")),
            r#"{"code":"KO","data":{"token":"t"}}"#,
            false,
        ),
    ] {
        let server = Server::answering(http("200 OK", body)).await;
        let pointer = Some("/code".to_owned());
        let mut login = login(&server);
        login.ok = LoginOk {
            pointer,
            equals: ok.clone(),
        };
        let grant = grant(&pool(login), &with_extra("ann", &[])).await;
        match grant {
            Ok(_) => assert!(good, "{ok:?} {body}"),
            Err(error) => {
                assert!(!good, "{ok:?} {body}: {error}");
                assert_eq!(error.outcome(), Outcome::Refused, "{ok:?} {body}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_by_status_and_words() {
    let wrong = r#"{"code":7,"msg":"wrong password"}"#;
    let full = r#"{"code":8,"msg":"Too many sessions"}"#;
    let silent = r#"{"error":"x"}"#;
    for (status, body, expected) in [
        ("200 OK", wrong, Outcome::Refused),
        ("400 Bad Request", wrong, Outcome::Refused),
        ("401 Unauthorized", wrong, Outcome::Refused),
        ("422 Unprocessable Content", wrong, Outcome::Refused),
        ("401 Unauthorized", silent, Outcome::Refused),
        ("403 Forbidden", "", Outcome::Refused),
        ("200 OK", full, Outcome::Busy),
        ("403 Forbidden", full, Outcome::Busy),
        ("500 Internal Server Error", full, Outcome::Busy),
        ("429 Too Many Requests", wrong, Outcome::Busy),
        ("429 Too Many Requests", "", Outcome::Busy),
        ("404 Not Found", wrong, Outcome::Trouble),
        ("405 Method Not Allowed", wrong, Outcome::Trouble),
        ("500 Internal Server Error", wrong, Outcome::Trouble),
        ("503 Service Unavailable", "", Outcome::Trouble),
        ("400 Bad Request", silent, Outcome::Trouble),
        ("400 Bad Request", "<html>", Outcome::Trouble),
        ("200 OK", "<html>", Outcome::Trouble),
        ("200 OK", silent, Outcome::Trouble),
        ("200 OK", r#"{"code":0,"data":{}}"#, Outcome::Trouble),
        (
            "200 OK",
            r#"{"code":0,"data":{"token":["t"]}}"#,
            Outcome::Trouble,
        ),
        ("301 Moved Permanently", GOOD, Outcome::Trouble),
    ] {
        let error = outcome(http(status, body)).await.unwrap_err();
        assert_eq!(error.outcome(), expected, "{status} {body}: {error}");
    }
    let error = outcome(http("200 OK", wrong)).await.unwrap_err();
    assert_eq!(error.to_string(), "login refused: wrong password");
}

#[tokio::test]
async fn without_ok_an_explanation_in_place_of_the_token_is_a_refusal() {
    let server = Server::answering(http("200 OK", r#"{"error":"who are you?"}"#)).await;
    let mut login = login(&server);
    (login.ok.pointer, login.message) = (None, Some("/error".to_owned()));
    let error = grant(&pool(login), &with_extra("ann", &[])).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "login refused: who are you?");
}

#[tokio::test]
async fn no_reason_repeats_what_only_the_account_knows() {
    let server = Server::answering(http(
        "200 OK",
        &format!(
            r#"{{"code":1,"msg":"pin 4711-x, {PASSWORD}, tok-9","data":{{"token":"tok-9"}}}}"#
        ),
    ))
    .await;
    let account = with_extra("ann", &[("pin", "4711-x")]);
    let error = grant(&pool(login(&server)), &account).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "login refused: pin [redacted], [redacted], [redacted]"
    );
}

#[tokio::test]
async fn a_get_without_a_body_sends_none() {
    let server = Server::answering(http("200 OK", GOOD)).await;
    let login = Login {
        method: tpp::config::LoginMethod::Get,
        body: None,
        ..login(&server)
    };
    grant(&pool(login), &with_extra("ann", &[])).await.unwrap();
    let request = server.requests().concat().to_lowercase();
    assert!(request.starts_with("get /login?a=b "), "{request}");
    assert!(!request.contains("content-type"), "{request}");
}

#[tokio::test]
async fn a_session_is_logged_out_with_its_own_token() {
    let server = Server::answering(http("204 No Content", "")).await;
    let logout_url = Some(format!("http://{}/logout", server.address));
    let mut pool = pool(Login {
        logout_url,
        ..login(&server)
    });
    pool.inject.header = "X-Session".to_owned();
    pool.inject.prefix = "v1 ".to_owned();
    let (account, token) = (with_extra("ann", &[]), Token::new("tok", 64).unwrap());
    let provider = provider_of(&pool);
    provider.log_out(&account, &token).unwrap().await.unwrap();
    let request = server.requests().concat().to_lowercase();
    assert!(
        request.starts_with("post /logout http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nx-session: v1 tok\r\n"), "{request}");
}

#[tokio::test]
async fn a_huge_answer_is_bounded() {
    let body = format!(r#"{{"code":0,"pad":"{}"}}"#, "x".repeat(1 << 20));
    let error = outcome(http("200 OK", &body)).await.unwrap_err();
    assert!(matches!(error, LoginError::TooLarge { .. }), "{error}");
}
