//! OAuth 2.0 client credentials, by RFC 6749 to the letter.

use std::time::Duration;

use tpp::config::{ClientAuth, Login, Pool, Provider as Kind};

use super::{
    server::{Server, http},
    *,
};

const SUCCESS: &str =
    r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600}"#;

fn pool(login: Login) -> Pool {
    pool_of(Kind::OAuth2, login)
}

fn account(extra: &[(&str, &str)]) -> Credential {
    with_extra("s6BhdRkqt3", extra)
}

/// Logs in to a server that says `answer`; returns what it was asked, and what came of it.
async fn asked(
    login: Login,
    account: &Credential,
    answer: impl Into<Vec<u8>>,
) -> (String, Result<Grant, LoginError>) {
    let server = Server::answering(answer).await;
    let url = format!("http://{}/token", server.address);
    let url = Some(url);
    let grant = grant(&pool(Login { url, ..login }), account).await;
    (server.requests().concat(), grant)
}

async fn outcome(status: &str, body: &str) -> Result<Grant, LoginError> {
    asked(Login::default(), &account(&[]), http(status, body))
        .await
        .1
}

fn bearer(rest: &str) -> String {
    format!(r#"{{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer"{rest}}}"#)
}

#[tokio::test]
async fn a_client_shows_itself_by_basic_with_both_parts_form_encoded() {
    let mut account = account(&[("scope", "read write"), ("audience", "https://api.test/")]);
    account.username = "id:with colon".to_owned();
    let answer = http("200 OK", &bearer(r#","expires_in":3600"#));
    let (request, grant) = asked(Login::default(), &account, answer).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    // base64 of `id%3Awith+colon:hunter2-S3cret`.
    let shown = "authorization: Basic aWQlM0F3aXRoK2NvbG9uOmh1bnRlcjItUzNjcmV0\r\n";
    assert!(head.contains(shown), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    assert_eq!(
        body,
        "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fapi.test%2F"
    );
    let grant = grant.unwrap();
    assert_eq!(grant.secret.expose(), b"2YotnFZFEjr1zCsicMWpAA");
    assert_eq!(grant.expires_in, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_client_may_show_itself_in_the_body() {
    let login = Login {
        auth: ClientAuth::Body,
        ..Login::default()
    };
    let answer = http("200 OK", &bearer(""));
    let (request, grant) = asked(login, &account(&[]), answer).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert_eq!(
        body,
        format!("grant_type=client_credentials&client_id=s6BhdRkqt3&client_secret={PASSWORD}")
    );
    assert_eq!(grant.unwrap().expires_in, None, "the server did not say");
}

#[tokio::test]
async fn the_type_of_a_token_is_bearer_in_any_case_and_no_other_is_used() {
    for kind in ["Bearer", "bearer", "BEARER"] {
        let body = format!(r#"{{"access_token":"tok","token_type":"{kind}"}}"#);
        assert!(outcome("200 OK", &body).await.is_ok(), "{kind}");
    }
    let error = outcome("200 OK", SUCCESS).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "login answer has a `token_type` other than Bearer"
    );
    assert_eq!(error.outcome(), Outcome::Trouble);
}

#[tokio::test]
async fn each_error_code_says_whether_the_client_is_refused() {
    for (status, code, expected) in [
        ("400 Bad Request", "invalid_request", Outcome::Refused),
        ("401 Unauthorized", "invalid_client", Outcome::Refused),
        ("400 Bad Request", "invalid_client", Outcome::Refused),
        ("400 Bad Request", "invalid_grant", Outcome::Refused),
        ("400 Bad Request", "unauthorized_client", Outcome::Refused),
        (
            "400 Bad Request",
            "unsupported_grant_type",
            Outcome::Refused,
        ),
        ("400 Bad Request", "invalid_scope", Outcome::Refused),
        ("400 Bad Request", "invalid_target", Outcome::Refused),
        ("403 Forbidden", "access_denied", Outcome::Refused),
        ("400 Bad Request", "x_of_tomorrow", Outcome::Refused),
        ("200 OK", "invalid_client", Outcome::Refused),
        (
            "503 Service Unavailable",
            "temporarily_unavailable",
            Outcome::Busy,
        ),
        ("400 Bad Request", "slow_down", Outcome::Busy),
        ("429 Too Many Requests", "rate_limited", Outcome::Busy),
        (
            "500 Internal Server Error",
            "server_error",
            Outcome::Trouble,
        ),
        ("400 Bad Request", "server_error", Outcome::Trouble),
        ("502 Bad Gateway", "invalid_client", Outcome::Trouble),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"because"}}"#);
        let error = outcome(status, &body).await.unwrap_err();
        assert_eq!(error.outcome(), expected, "{status} {code}: {error}");
    }
    let body = r#"{"error":"invalid_client","error_description":"no such client"}"#;
    let error = outcome("401 Unauthorized", body).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "login refused: invalid_client: no such client"
    );
}

#[tokio::test]
async fn without_a_code_the_status_alone_counts() {
    for (status, expected) in [
        ("401 Unauthorized", Outcome::Refused),
        ("403 Forbidden", Outcome::Refused),
        ("400 Bad Request", Outcome::Trouble),
        ("404 Not Found", Outcome::Trouble),
        ("429 Too Many Requests", Outcome::Busy),
        ("500 Internal Server Error", Outcome::Trouble),
        ("302 Found", Outcome::Trouble),
    ] {
        for body in ["", "<html>", "{}"] {
            let error = outcome(status, body).await.unwrap_err();
            assert_eq!(error.outcome(), expected, "{status} {body}: {error}");
        }
    }
}

#[tokio::test]
async fn a_busy_server_says_how_long_it_wants_to_be_left_alone() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let answer = format!("HTTP/1.1 {status}\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n");
        let (_, grant) = asked(Login::default(), &account(&[]), answer).await;
        let error = grant.unwrap_err();
        assert_eq!(
            error.asked_wait(),
            Some(Duration::from_secs(17)),
            "{status}"
        );
        assert_eq!(error.outcome(), Outcome::Busy, "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_a_token_or_with_two_is_trouble() {
    for body in [
        "{}",
        "[]",
        "",
        "null",
        r#"{"access_token":7}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":"a","access_token":"b"}"#,
        r#"{"access_token":"to\u0000ken"}"#,
    ] {
        let error = outcome("200 OK", body).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Trouble, "{body}: {error}");
    }
}

#[tokio::test]
async fn a_secret_that_the_server_repeats_is_kept_from_the_reason() {
    let body = format!(r#"{{"error":"invalid_client","error_description":"{PASSWORD} is wrong"}}"#);
    let error = outcome("401 Unauthorized", &body).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "login refused: invalid_client: [redacted] is wrong"
    );
}

#[tokio::test]
async fn a_token_is_revoked_as_rfc_7009_says() {
    let server = Server::answering(http("200 OK", "")).await;
    let login = Login {
        url: Some(format!("http://{}/token", server.address)),
        logout_url: Some(format!("http://{}/revoke", server.address)),
        ..Login::default()
    };
    let provider = provider_of(&pool(login));
    let (account, token) = (account(&[]), Token::new("tok/1", 64).unwrap());
    provider.log_out(&account, &token).unwrap().await.unwrap();
    let request = server.requests().concat();
    assert!(
        request.starts_with("POST /revoke HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\ntoken=tok%2F1&token_type_hint=access_token"));
}

#[tokio::test]
async fn where_there_is_no_revocation_nobody_is_asked() {
    let login = Login {
        url: Some("http://127.0.0.1:1/token".to_owned()),
        ..Login::default()
    };
    let token = Token::new("tok", 64).unwrap();
    let account = account(&[]);
    assert!(
        provider_of(&pool(login))
            .log_out(&account, &token)
            .is_none()
    );
}
