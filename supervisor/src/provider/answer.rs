//! What a login's answer means: pure, bytes in, verdict out.
//!
//! The documented answer is `{"session","user","code","message","result"}`. `code` is a string or a number,
//! zero for success; `result` is the token, alone or as the one member of a list. Servers differ in what
//! they call the content, so the bytes decide, not the content type.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::{busy::Busy, redact::Redactor};

/// What the server said.
pub(super) enum Verdict {
    /// The token, as sent.
    Granted(Zeroizing<String>),
    /// The login failed; why, fit to be shown.
    Refused { reason: String },
    /// The server has no place for a login now; its words, fit to be shown.
    Busy { reason: String },
    /// JSON of another shape.
    Unexpected { what: &'static str },
    /// JSON that stops too early.
    Truncated,
    /// Something else.
    NotJson,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    code: Loose,
    #[serde(default)]
    message: Loose,
    #[serde(default)]
    result: Loose,
}

/// A field that servers fill in more ways than one. Text is wiped when it is dropped.
#[derive(Default)]
enum Loose {
    #[default]
    Absent,
    Text(Zeroizing<String>),
    Zero,
    NonZero,
    /// A list: its only member, or `None` if it is empty.
    List(Option<Box<Loose>>),
    /// Any other value, or a list of several.
    Other,
}

/// `busy` matches the message of a server that says nothing about the account.
pub(super) fn judge(body: &[u8], redactor: &Redactor, busy: &Busy) -> Verdict {
    // A list would pass for the fields of a struct in their order.
    let body = body.trim_ascii();
    if !matches!(body.first(), None | Some(b'{')) {
        return match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Verdict::Unexpected {
                what: "is not a JSON object",
            },
            Err(_) => Verdict::NotJson,
        };
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => weigh(&answer, redactor, busy),
        Err(error) if error.is_data() => Verdict::Unexpected {
            what: "names a field twice",
        },
        Err(error) => match salvage(body) {
            Some(message) => failed(message, redactor, busy),
            None if error.is_eof() => Verdict::Truncated,
            None => Verdict::NotJson,
        },
    }
}

fn weigh(answer: &Answer, redactor: &Redactor, busy: &Busy) -> Verdict {
    match is_success(&answer.code) {
        None => Verdict::Unexpected {
            what: "has no usable `code`",
        },
        Some(true) => granted(&answer.result),
        Some(false) => match &answer.result {
            // A token beside a failure is odd, and still a token.
            Loose::Text(token) => failed(text(&answer.message), &redactor.also(token), busy),
            _ => failed(text(&answer.message), redactor, busy),
        },
    }
}

/// A failure, by what the server says of it. Of `login("user", "secret") => …` only what comes after the call counts: a user
/// name or a password may be any words.
fn failed(message: &str, redactor: &Redactor, busy: &Busy) -> Verdict {
    let is_busy = busy.is_said_in(said(message));
    let reason = reason(message, redactor);
    if is_busy {
        Verdict::Busy { reason }
    } else {
        Verdict::Refused { reason }
    }
}

fn text(field: &Loose) -> &str {
    if let Loose::Text(text) = field {
        text
    } else {
        ""
    }
}

/// `None` if `code` is missing or nonsense.
fn is_success(code: &Loose) -> Option<bool> {
    match code {
        Loose::Zero => Some(true),
        Loose::NonZero => Some(false),
        Loose::Text(text) => match text.trim() {
            "" => None,
            code => Some(code == "0"),
        },
        Loose::Absent | Loose::List(_) | Loose::Other => None,
    }
}

fn granted(result: &Loose) -> Verdict {
    match result {
        Loose::Text(token) => Verdict::Granted(token.clone()),
        Loose::List(None) => Verdict::Granted(Zeroizing::default()),
        Loose::List(Some(member)) => match member.as_ref() {
            Loose::Text(token) => Verdict::Granted(token.clone()),
            _ => Verdict::Unexpected {
                what: "has a `result` that is not a token",
            },
        },
        Loose::Absent => Verdict::Unexpected {
            what: "has no `result`",
        },
        Loose::Zero | Loose::NonZero | Loose::Other => Verdict::Unexpected {
            what: "has a `result` that is not a token",
        },
    }
}

/// What to show of a server's `message`.
///
/// DolphinDB begins it with the call that failed, password and all: `login("user", "secret") => …`. What
/// comes before the last arrow is therefore dropped unread, and the rest redacted.
fn reason(message: &str, redactor: &Redactor) -> String {
    match redactor.excerpt(said(message)) {
        empty if empty.is_empty() => "the server gives no reason".to_owned(),
        excerpt => excerpt,
    }
}

fn said(message: &str) -> &str {
    match message.rsplit_once("=>") {
        Some((call, said)) if call.trim_start().starts_with("login") => said,
        _ => message,
    }
}

/// The message of a failed login whose text breaks the JSON around it.
///
/// The documented failure quotes the call inside `message` without escaping its quotes. Were that taken for
/// garbage, a wrong password would be tried every few seconds until the account is locked. So: an object
/// that is whole to the eye and has a `code` other than zero is a refusal.
fn salvage(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body)
        .ok()?
        .strip_prefix('{')?
        .strip_suffix('}')?;
    let code = after_key(text, "\"code\"")?;
    let code = code.strip_prefix('"').unwrap_or(code);
    let digits = code
        .find(|c: char| !c.is_ascii_digit())
        .map_or(code, |end| &code[..end]);
    if digits.is_empty() || digits.bytes().all(|digit| digit == b'0') {
        return None;
    }
    let message = after_key(code, "\"message\"").unwrap_or_default();
    let end = message.rfind("\"result\"").unwrap_or(message.len());
    Some(message[..end].trim_matches(|c: char| c.is_whitespace() || c == '"' || c == ','))
}

/// What follows `key`, its colon and the white space around that.
fn after_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Loose, E> {
        Ok(Loose::Text(Zeroizing::new(text)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(if number == 0 {
            Loose::Zero
        } else {
            Loose::NonZero
        })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(if number == 0 {
            Loose::Zero
        } else {
            Loose::NonZero
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(if number == 0.0 {
            Loose::Zero
        } else {
            Loose::NonZero
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        let Some(first) = list.next_element::<Loose>()? else {
            return Ok(Loose::List(None));
        };
        let mut rest = 0_usize;
        while list.next_element::<IgnoredAny>()?.is_some() {
            rest += 1;
        }
        Ok(if rest == 0 {
            Loose::List(Some(Box::new(first)))
        } else {
            Loose::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
}
