//! Why there is no certificate, from what an authority said.

use std::{error::Error as _, time::Duration};

use instant_acme::{Error, Problem};

use super::schedule::Kind;

/// Why a try was in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    /// For people, with the authority's own words where it said some.
    pub(super) words: String,
    /// For how long it wants no other try, if it says so.
    pub(super) spared: Option<Duration>,
    /// Whether it does not know our account any more.
    pub(super) has_no_account: bool,
}

impl Failure {
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self {
            kind,
            words: words.into(),
            spared: None,
            has_no_account: false,
        }
    }

    /// What `error` comes to. `spared`: what the last answer that was an error said besides.
    pub(super) fn of(error: &Error, spared: Option<Duration>) -> Self {
        let failure = match error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Timeout(_) => {
                Self::new(Kind::Unreachable, "the authority does not come to an end")
            }
            Error::Json(_) => Self::new(Kind::Unreachable, "the authority says what is no ACME"),
            Error::Other(_) | Error::Http(_) => Self::new(Kind::Unreachable, with_causes(error)),
            error => Self::new(Kind::Refused, with_causes(error)),
        };
        Self { spared, ..failure }
    }

    /// What the authority says is wrong.
    pub(super) fn of_problem(problem: &Problem) -> Self {
        let what = problem.r#type.as_deref().unwrap_or_default();
        let what = what.rsplit(':').next().unwrap_or_default();
        let kind = match (what, problem.status) {
            ("rateLimited", _) | (_, Some(429)) => Kind::Limited,
            ("serverInternal", _) | (_, Some(500..)) => Kind::Unreachable,
            _ => Kind::Refused,
        };
        Self {
            has_no_account: what == "accountDoesNotExist",
            ..Self::new(kind, words_of(problem, what))
        }
    }

    /// The same of an answer to an order or to a change of the account, for which one is unauthorized only if it was deactivated or revoked
    /// (RFC 8555, 7.3.6).
    pub(super) fn of_account(error: &Error, spared: Option<Duration>) -> Self {
        let is_unauthorized = match error {
            Error::Api(problem) => {
                let what = problem.r#type.as_deref().unwrap_or_default();
                what.ends_with(":unauthorized")
            }
            _ => false,
        };
        let failure = Self::of(error, spared);
        Self {
            has_no_account: failure.has_no_account || is_unauthorized,
            ..failure
        }
    }
}

fn words_of(problem: &Problem, what: &str) -> String {
    let mut words = problem.detail.clone().unwrap_or_default();
    for one in &problem.subproblems {
        if let Some(detail) = &one.detail {
            words.push_str(": ");
            words.push_str(detail);
        }
    }
    match (words.is_empty(), what.is_empty()) {
        (true, true) => "the authority does not say why".to_owned(),
        (true, false) => what.to_owned(),
        (false, true) => words,
        (false, false) => format!("{words} ({what})"),
    }
}

fn with_causes(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(what: &str, status: u16) -> Error {
        Error::Api(Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{what}")),
            detail: Some("no".to_owned()),
            status: Some(status),
            subproblems: Vec::new(),
        })
    }

    #[test]
    fn what_an_authority_says_tells_who_is_to_wait_and_for_what() {
        let hour = Some(Duration::from_secs(3600));
        let cases = [
            ("rateLimited", 429, Kind::Limited),
            ("serverInternal", 500, Kind::Unreachable),
            ("somethingNew", 503, Kind::Unreachable),
            ("rejectedIdentifier", 400, Kind::Refused),
            ("caa", 403, Kind::Refused),
        ];
        for (what, status, kind) in cases {
            let failure = Failure::of(&problem(what, status), hour);
            assert_eq!((failure.kind, failure.spared), (kind, hour), "{what}");
            assert_eq!(failure.words, format!("no ({what})"));
            assert!(!failure.has_no_account);
        }
        let lost = Error::Other("connection refused".into());
        assert_eq!(
            Failure::of(&lost, None),
            Failure::new(Kind::Unreachable, "connection refused")
        );
    }

    #[test]
    fn an_account_that_is_no_more_is_told_from_one_that_may_not() {
        let gone = problem("accountDoesNotExist", 400);
        assert!(Failure::of(&gone, None).has_no_account);
        let deactivated = problem("unauthorized", 401);
        assert!(Failure::of_account(&deactivated, None).has_no_account);
        // Of a challenge: the proof was a wrong one.
        assert!(!Failure::of(&deactivated, None).has_no_account);
    }
}
