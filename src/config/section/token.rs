//! `[token]`.

use std::time::Duration;

use super::{YEAR, defaults, section};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Effect, Key, Kind},
    reader::{Reader, Table},
    shape,
};

section! {
    /// `[token]`: how tokens are drawn and renewed.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Token in "token", then with_timely_check {
        /// How long a token is good for after its login.
        pub ttl: Duration =
            Key::number("token.ttl_seconds", (1, YEAR), 3600).variables(&["TPP_TOKEN_TTL_SECONDS"]);
        /// How often the supervisor looks for tokens to renew.
        pub refresh_check: Duration = REFRESH_CHECK;
        /// Statuses of an answer that mean that the token must be renewed, from 400 to 599, in rising order.
        pub renew_on: Vec<u16> =
            Key::new("token.renew_on", Kind::Statuses, Absent::Statuses(&[401]));
        /// A regular expression: a login answer whose message it matches says "not now", and is no refusal. It does not
        /// match empty text.
        pub busy_pattern: String = Key::text(
            "token.busy_pattern",
            "a regular expression that does not match empty text",
            shape::pattern,
            Absent::Text(BUSY),
        );
        /// Where a token may be sent.
        pub scope: TokenScope = SCOPE;
        /// Forward a client's own requests to `login_path`; else they get 403.
        pub login_from_clients: bool = Key::flag("token.login_from_clients", true);
        /// Path of the login call, starting with `/`.
        pub login_path: String = Key::text(
            "token.login_path",
            "a path that begins with / and has no spaces",
            shape::request_path,
            Absent::Text("/api/login"),
        );
        /// Bound on one login, from connect to the last byte.
        pub login_timeout: Duration = Key::number("token.login_timeout_seconds", (1, 3600), 30);
        /// Logins under way at once.
        pub login_concurrency: usize = Key::number("token.login_concurrency", (1, 1024), 16);
        /// Longest token accepted, in bytes, white space removed.
        pub max_token_bytes: usize =
            Key::number("token.max_token_bytes", (16, 65_536), 4096).takes(Effect::Restart);
    }
}

pub(in crate::config) const SCOPE: Key = Key::choice("token.scope", TokenScope::WORDS);
pub(in crate::config) const REFRESH_CHECK: Key =
    Key::number("token.refresh_check_seconds", (1, YEAR), 60)
        .variables(&["TPP_TOKEN_REFRESH_CHECK_SECONDS"]);

/// How DolphinDB says that it is full (S00006) or not up yet.
const BUSY: &str = "(?i)max(imum)? ?(number of )?connections|connection limit|S00006|not ready|not (yet )?initialized|starting up";

choice! {
    /// Where a token may be sent.
    pub enum TokenScope {
        /// Only to the very address it was drawn from.
        Backend = "backend",
        /// To any address of the upstream.
        Pool = "pool",
    }
}

impl Default for Token {
    fn default() -> Self {
        defaults()
    }
}

/// A check as rare as tokens expire would find them expired. Left out, it follows a short life.
fn with_timely_check(section: Token, reader: &mut Reader<'_>, table: &Table<'_>) -> Token {
    let (ttl, check) = (section.ttl, section.refresh_check);
    match table.find(&REFRESH_CHECK) {
        None => {
            let refresh_check = check.min(ttl / 2);
            return Token {
                refresh_check,
                ..section
            };
        }
        Some(node) if check >= ttl => {
            let allowed = format!(
                "less than token.ttl_seconds ({}), or nothing",
                ttl.as_secs()
            );
            let name = table.dotted(REFRESH_CHECK.leaf());
            reader.note(Some(node.origin), &name, node.value.describe(), allowed);
        }
        Some(_) => {}
    }
    section
}
