//! Feishu's calls for tokens, by its documentation to the letter: `auth/v3`, the general error codes, frequency control.

use std::time::Duration;

use tpp::config::{Login, Pool, Provider as Kind};

use super::{
    server::{Server, http},
    *,
};
use crate::provider::feishu::take_ticket;

const TENANT: &str = r#"{"code":0,"msg":"ok","tenant_access_token":"t-caecc734c2e3328a62489fe0648c4b98779515d3","expire":7140}"#;
const APP: &str =
    r#"{"code":0,"msg":"success","app_access_token":"a-6U1SbDiM6XIH2DcTCPyeub","expire":7140}"#;

fn pool(server: &Server) -> Pool {
    let url = Some(format!("http://{}/", server.address));
    pool_of(
        Kind::Feishu,
        Login {
            url,
            ..Login::default()
        },
    )
}

/// The platform, as it answers: each request by its path.
async fn platform(answers: &'static [(&'static str, &'static str)]) -> Server {
    Server::replying(move |request| {
        let found = answers.iter().find(|(path, _)| {
            request.starts_with(&format!("POST /open-apis/auth/v3/{path} HTTP/1.1\r\n"))
        });
        found.map_or_else(
            || http("404 Not Found", ""),
            |(_, answer)| http("200 OK", answer),
        )
    })
    .await
}

fn bodies(server: &Server) -> Vec<serde_json::Value> {
    let requests = server.requests();
    let bodies = requests
        .iter()
        .map(|one| one.split_once("\r\n\r\n").unwrap().1);
    bodies
        .map(|body| serde_json::from_str(body).unwrap())
        .collect()
}

async fn outcome(answer: impl Into<Vec<u8>>) -> LoginError {
    let server = Server::answering(answer).await;
    let grant = grant(&pool(&server), &with_extra("cli_a", &[])).await;
    grant.unwrap_err()
}

#[tokio::test]
async fn an_internal_app_draws_its_tenants_token() {
    let server = platform(&[("tenant_access_token/internal", TENANT)]).await;
    let grant = grant(&pool(&server), &with_extra("cli_a", &[]))
        .await
        .unwrap();
    assert_eq!(
        grant.secret.expose(),
        b"t-caecc734c2e3328a62489fe0648c4b98779515d3"
    );
    assert_eq!(grant.expires_in, Some(Duration::from_secs(7140)));
    let expected = serde_json::json!({"app_id": "cli_a", "app_secret": PASSWORD});
    assert_eq!(bodies(&server), [expected]);
    let head = server.requests().concat().to_lowercase();
    assert!(head.contains("content-type: application/json; charset=utf-8"));
}

#[tokio::test]
async fn an_internal_app_draws_its_own_token() {
    let server = platform(&[("app_access_token/internal", APP)]).await;
    let account = with_extra("cli_a", &[("kind", "app")]);
    let grant = grant(&pool(&server), &account).await.unwrap();
    assert_eq!(grant.secret.expose(), b"a-6U1SbDiM6XIH2DcTCPyeub");
}

#[tokio::test]
async fn a_marketplace_app_draws_a_tenants_token_by_its_ticket() {
    let server = platform(&[("app_access_token", APP), ("tenant_access_token", TENANT)]).await;
    let app = "cli_with_ticket";
    assert!(take_ticket(app, "dskLLdkasd"));
    let account = with_extra(
        app,
        &[
            ("app_type", "marketplace"),
            ("tenant_key", "73658811060f175d"),
        ],
    );
    let grant = grant(&pool(&server), &account).await.unwrap();
    assert_eq!(
        grant.secret.expose(),
        b"t-caecc734c2e3328a62489fe0648c4b98779515d3"
    );
    let for_app =
        serde_json::json!({"app_id": app, "app_secret": PASSWORD, "app_ticket": "dskLLdkasd"});
    let for_tenant = serde_json::json!({
        "app_access_token": "a-6U1SbDiM6XIH2DcTCPyeub",
        "tenant_key": "73658811060f175d",
    });
    assert_eq!(bodies(&server), [for_app, for_tenant]);
}

#[tokio::test]
async fn without_a_ticket_the_platform_is_asked_for_one_once() {
    let server = platform(&[("app_ticket/resend", r#"{"code":0,"msg":"success"}"#)]).await;
    let account = with_extra("cli_without_ticket", &[("app_type", "marketplace")]);
    for _ in 0..3 {
        let error = grant(&pool(&server), &account).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Trouble);
        assert!(error.to_string().contains("app ticket"), "{error}");
    }
    let expected = serde_json::json!({"app_id": "cli_without_ticket", "app_secret": PASSWORD});
    assert_eq!(bodies(&server), [expected]);
}

#[tokio::test]
async fn a_ticket_that_is_no_good_is_asked_for_again() {
    const ANSWERS: &[(&str, &str)] = &[
        (
            "app_access_token",
            r#"{"code":10012,"msg":"get app access token fail"}"#,
        ),
        ("app_ticket/resend", r#"{"code":0,"msg":"success"}"#),
    ];
    let server = platform(ANSWERS).await;
    let app = "cli_with_stale_ticket";
    assert!(take_ticket(app, "stale-ticket"));
    let account = with_extra(app, &[("app_type", "marketplace"), ("kind", "app")]);
    let error = grant(&pool(&server), &account).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Trouble, "{error}");
    assert!(!error.to_string().contains("stale-ticket"), "{error}");
    assert_eq!(server.requests().len(), 2, "it was asked to send it");
}

#[tokio::test]
async fn each_code_of_the_documentation_means_what_it_says() {
    for (code, msg, expected) in [
        (10_003, "invalid parameter", Outcome::Refused),
        (10_005, "app id unauthorized", Outcome::Refused),
        (10_014, "app unauthorized", Outcome::Refused),
        (10_015, "wrong app secret", Outcome::Refused),
        (11_207, "app is not usage", Outcome::Refused),
        (11_209, "app not exist", Outcome::Refused),
        (11_210, "app usage info not exist", Outcome::Refused),
        (99_991_400, "request trigger frequency limit", Outcome::Busy),
        (2_200, "internal error", Outcome::Busy),
        (5_000, "internal error", Outcome::Busy),
        (1_500, "internal error", Outcome::Trouble),
        (10_013, "get tenant access token fail", Outcome::Trouble),
        (10_101, "internal error", Outcome::Trouble),
        (10_500, "internal server error", Outcome::Trouble),
        (424_242, "of tomorrow", Outcome::Trouble),
    ] {
        for status in ["200 OK", "400 Bad Request"] {
            let body = format!(r#"{{"code":{code},"msg":"{msg}"}}"#);
            let error = outcome(http(status, &body)).await;
            assert_eq!(error.outcome(), expected, "{status} {code}: {error}");
            let told = format!("{code} {msg}");
            assert!(error.to_string().contains(&told), "{error}");
        }
    }
}

#[tokio::test]
async fn the_platform_says_when_it_may_be_asked_again() {
    let body = r#"{"code":99991400,"msg":"request trigger frequency limit"}"#;
    let length = body.len();
    for status in ["429 Too Many Requests", "400 Bad Request"] {
        let error = outcome(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-ogw-ratelimit-limit: 100\r\n\
             x-ogw-ratelimit-reset: 52\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        assert_eq!(
            error.asked_wait(),
            Some(Duration::from_secs(52)),
            "{status}"
        );
        assert_eq!(error.outcome(), Outcome::Busy, "{status}");
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_is_trouble() {
    for body in [
        "",
        "{}",
        "[0]",
        r#"{"code":"0","tenant_access_token":"t"}"#,
        r#"{"code":0,"msg":"ok"}"#,
        r#"{"code":0,"tenant_access_token":null}"#,
        r#"{"code":0,"code":10014}"#,
        "<html>",
    ] {
        let error = outcome(http("200 OK", body)).await;
        assert_eq!(error.outcome(), Outcome::Trouble, "{body}: {error}");
    }
    for status in ["502 Bad Gateway", "404 Not Found"] {
        let error = outcome(http(status, "nothing here")).await;
        assert_eq!(error.outcome(), Outcome::Trouble, "{status}: {error}");
    }
}
