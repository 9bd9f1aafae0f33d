//! What the fuzz targets of login answers call: bytes in, a panic where something is not as promised. It is built
//! for fuzzing and for tests alone.

use std::{sync::LazyLock, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tpp::config::Token as Rules;
use zeroize::Zeroizing;

use super::{
    LoginError,
    answer::{Verdict, judge},
    busy::Busy,
    feishu,
    json::Meaning,
    oauth2,
    redact::Redactor,
    said::Said,
    token::Token,
};

/// What no reason may repeat.
const PASSWORD: &str = "hunter2+canary";
const MAX_TOKEN_BYTES: usize = 256;
/// Longest reason, characters.
const MAX_REASON: usize = 161;

/// Longest failure, characters: a reason and what stands around it.
const MAX_ERROR: usize = MAX_REASON + 200;
/// What an answer's first byte stands for.
const STATUSES: [u16; 16] = [
    200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 405, 408, 429, 500, 503,
];

static BUSY: LazyLock<Busy> = LazyLock::new(|| Busy::new(&Rules::default().busy_pattern));

/// A token as sent, and for how long it is good, or why there is none.
type Judged = Result<(Zeroizing<String>, Option<Duration>), LoginError>;

/// Any bytes as the answer to a login of any shape. The first one tells its status, and what its head says.
pub fn json_answer(bytes: &[u8]) {
    static MEANING: LazyLock<Meaning> = LazyLock::new(|| Meaning {
        token: "/data/token".to_owned(),
        expires_in: Some("/data/expires".to_owned()),
        ok: Some(("/code".to_owned(), Some(json!(0)))),
        message: Some("/msg".to_owned()),
        busy: BUSY.clone(),
    });
    let said = said(bytes);
    let judged = MEANING.judge(&said, &Redactor::new(PASSWORD));
    hold_to_promises(&said, &judged, "/data/token");
}

/// The same of an OAuth 2.0 token endpoint's.
pub fn oauth2_answer(bytes: &[u8]) {
    let said = said(bytes);
    let judged = oauth2::judge(&said, &Redactor::new(PASSWORD));
    hold_to_promises(&said, &judged, "/access_token");
}

/// The same of Feishu's.
pub fn feishu_answer(bytes: &[u8]) {
    let said = said(bytes);
    let judged = feishu::judge(&said, Some("tenant_access_token"), &Redactor::new(PASSWORD));
    let judged = judged.map_err(|fault| fault.error);
    hold_to_promises(&said, &judged, "/tenant_access_token");
}

fn said(bytes: &[u8]) -> Said {
    let (first, body) = bytes.split_first().unwrap_or((&0, &[]));
    let status = STATUSES[usize::from(first & 15)];
    let content_type = if first & 16 == 0 {
        "application/json"
    } else {
        "text/html"
    };
    Said {
        status: StatusCode::from_u16(status).expect("a status"),
        body: Zeroizing::new(body.to_vec()),
        content_type: content_type.to_owned(),
        location: String::from_utf8_lossy(body).into_owned(),
        wait: (first & 32 != 0).then_some(Duration::from_secs(17)),
    }
}

/// A token is what a success says at its place, fit for a header or turned down; a failure says why in words that may be shown.
fn hold_to_promises(said: &Said, judged: &Judged, place: &str) {
    match judged {
        Ok((text, _)) => {
            assert!(said.status.is_success(), "a token under {}", said.status);
            let read: Value = serde_json::from_slice(&said.body).expect("a token of no JSON");
            let found = read.pointer(place).and_then(Value::as_str);
            assert_eq!(found, Some(text.as_str()), "another token");
            check_token(text);
        }
        Err(error) => check_words(&error.to_string(), MAX_ERROR),
    }
}

fn check_words(words: &str, longest: usize) {
    assert!(!words.is_empty() && words.chars().count() <= longest);
    assert!(
        !words.contains(char::is_control),
        "a terminal would obey it"
    );
    assert!(!words.contains(PASSWORD), "it tells the password");
}

fn check_token(text: &str) {
    match Token::new(text, MAX_TOKEN_BYTES) {
        Ok(token) => {
            let token = token.expose();
            assert!((1..=MAX_TOKEN_BYTES).contains(&token.len()));
            assert!(token.iter().all(u8::is_ascii_graphic), "fit for no header");
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

/// Any bytes as the body of a login's answer.
pub fn login_answer(bytes: &[u8]) {
    match judge(bytes, &Redactor::new(PASSWORD), &BUSY) {
        Verdict::Granted(text) => check_token(&text),
        Verdict::Refused { reason } | Verdict::Busy { reason } => {
            check_words(&reason, MAX_REASON);
        }
        Verdict::Unexpected { what } => assert!(!what.is_empty()),
        Verdict::Truncated | Verdict::NotJson => {
            // But for what no parser of ours takes: lists a hundred deep, numbers without bound.
            let read = serde_json::from_slice::<serde_json::Value>(bytes);
            assert!(read.is_err(), "it is JSON, and whole");
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests;
