//! `[retry]`.

use super::{defaults, section};
use crate::config::text::key::Key;

section! {
    /// `[retry]`: another attempt at what a backend cannot have acted on.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Retry in "retry" {
        /// Further attempts of a request, each on another backend; 0: none.
        pub attempts: u32 = Key::number("retry.attempts", (0, 10), 1).zero("none");
        /// Most further attempts, in percent of the requests.
        pub budget_percent: u32 = Key::number("retry.budget_percent", (0, 100), 20).zero("none");
    }
}

impl Default for Retry {
    fn default() -> Self {
        defaults()
    }
}
