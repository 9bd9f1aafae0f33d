//! `[health_check]`, and `[backends.health_check]`.

use std::{fmt, time::Duration};

use super::{defaults, nested, section};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key},
    shape,
    spelled::Spelled,
};

section! {
    /// `[health_check]`: how the supervisor asks a backend whether it lives.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct HealthCheck in "health_check" {
        /// Whether it asks at all; else a backend counts as healthy.
        pub enabled: bool = ENABLED;
        /// Path of the request, for [`HealthKind::Http`].
        pub path: String = Key::text(
            "health_check.path",
            "a path that begins with / and has no spaces",
            shape::request_path,
            Absent::Text("/health"),
        );
        /// From one check to the next.
        pub interval: Duration = Key::number("health_check.interval_seconds", (1, 86_400), 10);
        /// Bound on one check, from connect to answer.
        pub timeout: Duration = Key::number("health_check.timeout_seconds", (1, 3600), 5);
        /// Successes in a row that make a backend healthy again.
        pub healthy_threshold: u32 = Key::number("health_check.healthy_threshold", (1, 1000), 2);
        /// Failures in a row that make it unhealthy.
        pub unhealthy_threshold: u32 = Key::number("health_check.unhealthy_threshold", (1, 1000), 3);
        /// Statuses of an answer that count as success.
        pub expect: Statuses = Key::spelled::<Statuses>(
            "health_check.expect",
            "classes, statuses and ranges of them with commas between, such as \"2xx\" or \"200-399,404\"",
            "2xx",
        );
        /// What is done.
        pub kind: HealthKind = Key::choice("health_check.type", HealthKind::WORDS);
    }
}

pub(in crate::config) const ENABLED: Key = Key::flag("health_check.enabled", true);

nested!(HealthCheck);

impl Default for HealthCheck {
    fn default() -> Self {
        defaults()
    }
}

choice! {
    /// What is done to learn whether a backend lives.
    pub enum HealthKind {
        /// A GET whose answer has one of the expected statuses.
        Http = "http",
        /// A connect.
        Tcp = "tcp",
        /// A login with an account of the backend's pool.
        Login = "login",
    }
}

/// A set of HTTP statuses, as ranges in rising order that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&status))
    }

    fn of(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

/// `2xx`, `204`, `200-399`.
fn range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits)?;
        (100..=599).contains(&number).then_some(number)
    };
    if let Some(class) = text.strip_suffix("xx") {
        let first = status(&format!("{class}00"))?;
        return Some((first, first + 99));
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (status(first.trim())?, status(last.trim())?),
        None => (status(text)?, status(text)?),
    };
    (first <= last).then_some((first, last))
}

impl Spelled for Statuses {
    fn spelled(text: &str) -> Option<Self> {
        let ranges = text.split(',').map(|part| range(part.trim()));
        ranges.collect::<Option<Vec<_>>>().map(Self::of)
    }

    fn spell(&self) -> String {
        let ranges = self.0.iter().map(|range| match range {
            (first, last) if first % 100 == 0 && *last == first + 99 => {
                format!("{}xx", first / 100)
            }
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        ranges.collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spell())
    }
}
