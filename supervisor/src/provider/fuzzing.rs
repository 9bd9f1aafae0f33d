//! What the fuzz target of login answers calls: bytes in, a panic where something is not as promised. It is built
//! for fuzzing and for tests alone.

use std::sync::LazyLock;

use regex::Regex;
use tpp::config::Token as Rules;

use super::{
    answer::{Verdict, judge},
    redact::Redactor,
    token::Token,
};

/// What no reason may repeat.
const PASSWORD: &str = "hunter2+canary";
const MAX_TOKEN_BYTES: usize = 256;
/// Longest reason, characters.
const MAX_REASON: usize = 161;

/// Any bytes as the body of a login's answer.
pub fn login_answer(bytes: &[u8]) {
    static BUSY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&Rules::default().busy_pattern).expect("the default is checked")
    });
    match judge(bytes, &Redactor::new(PASSWORD), &BUSY) {
        Verdict::Granted(text) => match Token::new(&text, MAX_TOKEN_BYTES) {
            Ok(token) => {
                let token = token.expose();
                assert!((1..=MAX_TOKEN_BYTES).contains(&token.len()));
                assert!(token.iter().all(u8::is_ascii_graphic), "fit for no header");
            }
            Err(fault) => assert!(!fault.to_string().is_empty()),
        },
        Verdict::Refused { reason } | Verdict::Busy { reason } => {
            assert!(!reason.is_empty() && reason.chars().count() <= MAX_REASON);
            assert!(
                !reason.contains(char::is_control),
                "a terminal would obey it"
            );
            assert!(!reason.contains(PASSWORD), "it tells the password");
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
mod tests {
    use super::{replay::replay, *};

    #[test]
    fn the_corpus_of_login_answers_is_judged_as_promised() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/login_answer");
        replay(corpus, login_answer);
    }
}
