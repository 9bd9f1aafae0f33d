//! Whether a server's message says that it is busy, which tells nothing about the account.

use std::sync::OnceLock;

use regex::Regex;

/// What the message of a busy server holds: a regular expression, compiled when the first message is to be judged. Most
/// servers never refuse, and what compiling takes, code and tables, every supervisor would keep.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    pattern: String,
    /// `None` if the pattern is no regular expression, and then no message matches.
    compiled: OnceLock<Option<Regex>>,
}

impl Busy {
    /// `pattern` as the configuration has it, whose check lets nothing through that is no regular expression.
    pub(super) fn new(pattern: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            compiled: OnceLock::new(),
        }
    }

    /// Whether `message` is one of a busy server.
    pub(super) fn is_said_in(&self, message: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(&self.pattern).ok());
        compiled
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(message))
    }
}
