//! `[outlier]`.

use std::time::Duration;

use super::{defaults, section};
use crate::config::text::key::Key;

section! {
    /// `[outlier]`: a backend that keeps failing real requests is taken out for a while.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Outlier in "outlier" {
        /// Whether it is done at all.
        pub enabled: bool = Key::flag("outlier.enabled", false);
        /// Failures in a row that take a backend out.
        pub consecutive: u32 = Key::number("outlier.consecutive", (1, 1_000_000), 5);
        /// How long for the first time; each further time adds as much.
        pub base: Duration = Key::number("outlier.base_seconds", (1, 86_400), 30);
        /// The longest.
        pub max: Duration = Key::number("outlier.max_seconds", (1, 86_400), 300);
        /// Most backends of a tag that are out at once, in percent; never the last one.
        pub max_percent: u32 = Key::number("outlier.max_percent", (0, 100), 50);
    }
}

impl Default for Outlier {
    fn default() -> Self {
        defaults()
    }
}
