//! What each answer means.

use proptest::prelude::*;

use super::{server::http, *};
use crate::provider::{busy::Busy, redact::Redactor};

fn busy() -> Busy {
    Busy::new(&rules().busy_pattern)
}

#[tokio::test]
async fn the_documented_success_yields_its_token_without_line_breaks() {
    let body = r#"{"session": "2333906441", "user": "admin", "code": "0", "message": "",
        "result": ["kRYEw4RK2m/x1G4Qdl7hpqf+wscfxTFkI1rTI7z0Cdea7eiZ5LkKwZEf/fAC46EX\nPIgIfppIWo1uhExIn9QDyA==\n"]}"#;
    let token = granted(login_with_body(body).await);
    assert_eq!(
        token,
        "kRYEw4RK2m/x1G4Qdl7hpqf+wscfxTFkI1rTI7z0Cdea7eiZ5LkKwZEf/fAC46EXPIgIfppIWo1uhExIn9QDyA=="
    );
}

#[tokio::test]
async fn a_code_of_zero_is_success_as_text_and_as_number() {
    for code in [r#""0""#, "0", "0.0", "-0", r#"" 0 ""#] {
        let body = format!(r#"{{"code":{code},"result":"tok"}}"#);
        assert_eq!(granted(login_with_body(&body).await), "tok", "{code}");
    }
}

#[tokio::test]
async fn any_other_code_is_a_refusal_with_the_servers_reason() {
    for code in [r#""1""#, "1", "-1", "2.5", r#""S00012""#] {
        let body = format!(r#"{{"code":{code},"message":"no such user","result":""}}"#);
        let error = login_with_body(&body).await.unwrap_err();
        assert!((error.outcome() == Outcome::Refused), "{code}: {error}");
        assert_eq!(error.to_string(), "login refused: no such user", "{code}");
    }
}

#[tokio::test]
async fn a_refusal_that_quotes_the_call_keeps_the_password_to_itself() {
    let message =
        format!(r#"login(\"ann\", \"{PASSWORD}\") => The user name or password is incorrect."#);
    let body =
        format!(r#"{{"session":"1","user":"ann","code":"1","message":"{message}","result":[]}}"#);
    assert_eq!(
        refused(login_with_body(&body).await),
        "The user name or password is incorrect."
    );
}

#[tokio::test]
async fn a_refusal_whose_quotes_break_the_json_is_still_a_refusal() {
    let message =
        format!(r#"login("ann", "{PASSWORD}") => The user name or password is incorrect."#);
    let body = format!(
        r#"{{"session": "1", "user": "ann", "code": "1", "message": "{message}", "result": []}}"#
    );
    assert_eq!(
        refused(login_with_body(&body).await),
        "The user name or password is incorrect."
    );
}

#[tokio::test]
async fn broken_json_with_a_code_of_zero_is_not_a_refusal() {
    let body = r#"{"code": "0", "message": "say "hi"", "result": ["tok"]}"#;
    assert!(matches!(
        login_with_body(body).await,
        Err(LoginError::NotJson { .. })
    ));
}

#[tokio::test]
async fn a_reason_is_short_printable_and_free_of_secrets() {
    let message = format!(
        r"\u001b[31mno\r\n{PASSWORD} and tok-123 {}",
        "x".repeat(500)
    );
    let body = format!(r#"{{"code":1,"message":"{message}","result":"tok-123"}}"#);
    let reason = refused(login_with_body(&body).await);
    assert!(
        reason.starts_with("[31mno [redacted] and [redacted] xxx"),
        "{reason}"
    );
    assert!(reason.chars().count() <= 161, "{reason}");
}

#[tokio::test]
async fn a_refusal_without_a_message_says_so() {
    for rest in [
        "",
        r#","message":"""#,
        r#","message":null"#,
        r#","message":[1]"#,
    ] {
        let body = format!(r#"{{"code":1{rest}}}"#);
        assert_eq!(
            refused(login_with_body(&body).await),
            "the server gives no reason",
            "{rest}"
        );
    }
}

#[tokio::test]
async fn json_of_another_shape_is_trouble_with_a_clear_reason() {
    for (body, what) in [
        (r#"{"result":"tok"}"#, "has no usable `code`"),
        (r#"{"code":"","result":"tok"}"#, "has no usable `code`"),
        (r#"{"code":true,"result":"tok"}"#, "has no usable `code`"),
        (r#"{"code":null,"result":"tok"}"#, "has no usable `code`"),
        (r#"{"code":["0"],"result":"tok"}"#, "has no usable `code`"),
        (r#"{"code":0}"#, "has no `result`"),
        (r#"{"code":0,"result":null}"#, "has no `result`"),
        (
            r#"{"code":0,"result":7}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"result":0}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"result":true}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"result":{"token":"tok"}}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"result":["tok","tok2"]}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"result":[["tok"]]}"#,
            "has a `result` that is not a token",
        ),
        (
            r#"{"code":0,"code":1,"result":"tok"}"#,
            "names a field twice",
        ),
        (r#"[0,"","tok"]"#, "is not a JSON object"),
        (r#""0""#, "is not a JSON object"),
        ("null", "is not a JSON object"),
    ] {
        let error = login_with_body(body).await.unwrap_err();
        assert_eq!(error, LoginError::Unexpected { what }, "{body}");
        assert!(!(error.outcome() == Outcome::Refused));
    }
}

#[tokio::test]
async fn truncated_json_is_told_from_garbage() {
    for body in ["", r#"{"code":"0","resul"#, r#"{"code":"0","result":["tok"#] {
        assert_eq!(
            login_with_body(body).await.unwrap_err(),
            LoginError::Truncated,
            "{body}"
        );
    }
    for body in [
        "garbage",
        "{garbage}",
        r#"{"code":0,"result":"tok"} trailing"#,
        "\u{0}\u{1}\u{2}",
    ] {
        let error = login_with_body(body).await.unwrap_err();
        assert_eq!(
            error,
            LoginError::NotJson {
                content_type: "application/json".to_owned()
            },
            "{body}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_garbage() {
    let mut answer = http("200 OK", "????").into_bytes();
    let end = answer.len();
    answer[end - 4..].copy_from_slice(&[0xff, 0xfe, 0x80, 0x00]);
    assert!(matches!(
        login_with(answer).await,
        Err(LoginError::NotJson { .. })
    ));
}

#[tokio::test]
async fn an_html_page_is_called_one() {
    let page = "<!doctype html><title>Login</title>";
    assert_eq!(login_with_body(page).await.unwrap_err(), LoginError::Html);
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\nWelcome";
    assert_eq!(login_with(answer).await.unwrap_err(), LoginError::Html);
}

#[tokio::test]
async fn the_bytes_decide_and_not_the_content_type() {
    for content_type in [
        "",
        "Content-Type: text/html\r\n",
        "Content-Type: text/plain\r\n",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\n{content_type}\r\n{{\"code\":0,\"result\":\"tok\"}}");
        assert_eq!(granted(login_with(answer).await), "tok", "{content_type}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_stand_in_a_header_is_refused_with_its_fault() {
    for (result, fault) in [
        (r#""""#, TokenFault::Empty),
        ("[]", TokenFault::Empty),
        (r#"" \n\t ""#, TokenFault::Empty),
        (
            r#""to\u0000k""#,
            TokenFault::ForbiddenByte { offset: 2, byte: 0 },
        ),
        (
            r#""a\nb\u007f""#,
            TokenFault::ForbiddenByte {
                offset: 2,
                byte: 0x7f,
            },
        ),
        (
            r#""tö""#,
            TokenFault::ForbiddenByte {
                offset: 1,
                byte: 0xc3,
            },
        ),
    ] {
        let body = format!(r#"{{"code":0,"result":{result}}}"#);
        let error = login_with_body(&body).await.unwrap_err();
        assert_eq!(error, LoginError::BadToken(fault), "{result}");
        assert!(!(error.outcome() == Outcome::Refused));
    }
}

#[tokio::test]
async fn the_length_of_a_token_is_counted_without_its_white_space() {
    let fits = "t".repeat(4096);
    let body = format!(r#"{{"code":0,"result":"\n{fits}\r\n"}}"#);
    assert_eq!(granted(login_with_body(&body).await), fits);
    let body = format!(r#"{{"code":0,"result":"{fits}t"}}"#);
    let fault = TokenFault::TooLong {
        bytes: 4097,
        max: 4096,
    };
    assert_eq!(
        login_with_body(&body).await.unwrap_err(),
        LoginError::BadToken(fault)
    );
}

#[test]
fn a_token_shows_a_fingerprint_and_nothing_else() {
    let token = Token::new("very secret token", 100).unwrap();
    let twin = Token::new("verysecrettoken", 100).unwrap();
    let other = Token::new("anothertoken", 100).unwrap();
    assert_eq!(token.fingerprint(), twin.fingerprint());
    assert_ne!(token.fingerprint(), other.fingerprint());
    assert_eq!(token.fingerprint().len(), 8);
    assert_eq!(
        format!("{token:?}"),
        format!("Token({}…)", token.fingerprint())
    );
}

proptest! {
    #[test]
    fn a_token_holds_visible_ascii_alone_or_is_none(text in any::<String>(), max in 0_usize..40) {
        if let Ok(token) = Token::new(&text, max) {
            prop_assert!((1..=max).contains(&token.expose().len()));
            prop_assert!(token.expose().iter().all(|byte| (0x21..=0x7e).contains(byte)));
        }
    }

    #[test]
    fn no_answer_makes_the_judge_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        answer::judge(&body, &Redactor::new(PASSWORD), &busy());
    }

    #[test]
    fn no_object_makes_the_judge_panic(body in r#"\{("code"|"message"|"result"|:|,|"1"|0|1|\[|\]|"|é| ){0,12}\}"#) {
        answer::judge(body.as_bytes(), &Redactor::new(PASSWORD), &busy());
    }

    #[test]
    fn an_excerpt_never_holds_the_password(password in "[A-Z0-9]{4,12}", before in ".{0,200}", after in ".{0,200}") {
        let excerpt = Redactor::new(&password).excerpt(&format!("{before}{password}{after}"));
        prop_assert!(!excerpt.contains(&password));
        prop_assert!(excerpt.chars().count() <= 161);
        prop_assert!(!excerpt.chars().any(char::is_control));
    }
}

#[tokio::test]
async fn a_server_that_is_full_or_not_ready_says_nothing_about_the_account() {
    for message in [
        "Maximum connections 512 reached. RefId:S00006",
        "The data node is not ready",
        r#"login(\"ann\", \"pw\") => The maximum number of connections is reached"#,
    ] {
        let body = format!(r#"{{"code":"1","message":"{message}","result":[]}}"#);
        for status in ["200 OK", "403 Forbidden", "400 Bad Request"] {
            let error = login_with(http(status, &body)).await.unwrap_err();
            assert_eq!(
                error.outcome(),
                Outcome::Busy,
                "{status} {message}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_is_none_of_a_busy_server_whatever_the_user_is_called() {
    let message =
        r#"login(\"not ready\", \"max connections\") => The user name or password is incorrect."#;
    let body = format!(r#"{{"code":"1","message":"{message}","result":[]}}"#);
    let error = login_with_body(&body).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refused, "{error}");
}
