//! How long things took, by what took it: counts as the supervisor has them, and what they say over a time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What took its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Took {
    /// From asking for a token to having it.
    Wait,
    /// From a request's head to the end of its answer, at a virtual host.
    Answer {
        /// The host.
        proxy: String,
    },
    /// From a request's first byte to a backend to the head of its answer.
    Backend {
        /// The host that was asked.
        proxy: String,
        /// The backend.
        backend: String,
    },
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("wait for a token"),
            Self::Answer { proxy } => f.write_str(proxy),
            Self::Backend { proxy, backend } => write!(f, "{proxy} at {backend}"),
        }
    }
}

/// What was counted of it so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimesTally {
    /// Of what.
    #[serde(flatten)]
    pub took: Took,
    /// Upper bounds of the buckets, seconds.
    pub bounds: Vec<f64>,
    /// How many took how long: one more than there are bounds, not cumulative.
    pub buckets: Vec<u64>,
    /// How long all took together, microseconds.
    pub sum_micros: u64,
}

/// What it says over a time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimesReport {
    /// Of what.
    pub took: Took,
    /// How many.
    pub count: u64,
    /// How long each took on average, milliseconds.
    pub mean_ms: f64,
    /// Within how long nine in ten were done, milliseconds: a bound; `None`: beyond the last.
    pub p90_ms: Option<f64>,
}

impl TimesTally {
    /// Of these counts, by `bounds`.
    #[must_use]
    pub fn of(took: Took, bounds: &[f64], buckets: &[u64], sum_micros: u64) -> Self {
        Self {
            took,
            bounds: bounds.to_vec(),
            buckets: buckets.to_vec(),
            sum_micros,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What has come since `before`, of the same thing. Of one that was counted anew meanwhile: all of it.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let then = &before.buckets;
        let pairs = || self.buckets.iter().zip(then);
        if then.len() != self.buckets.len() || pairs().any(|(now, then)| now < then) {
            return self.clone();
        }
        Self {
            buckets: pairs().map(|(now, then)| now - then).collect(),
            sum_micros: self.sum_micros.saturating_sub(before.sum_micros),
            ..self.clone()
        }
    }

    /// What it says; `None`: there was none.
    #[must_use]
    pub fn report(&self) -> Option<TimesReport> {
        let count = self.count();
        let most = count.saturating_mul(9).div_ceil(10);
        let mut seen = 0;
        let mut bounds = self.buckets.iter().zip(&self.bounds);
        let found = bounds.find(|(count, _)| {
            seen += **count;
            seen >= most
        });
        (count > 0).then(|| TimesReport {
            took: self.took.clone(),
            count,
            mean_ms: self.sum_micros as f64 / 1000.0 / count as f64,
            p90_ms: found.map(|(_, bound)| bound * 1000.0),
        })
    }
}

/// What has come of each of `now` since `before`; nothing of what there was none of.
#[must_use]
pub fn times_since(now: &[TimesTally], before: &[TimesTally]) -> Vec<TimesReport> {
    let reports = now.iter().filter_map(|one| {
        let then = before.iter().find(|then| then.took == one.took);
        then.map_or_else(|| one.report(), |then| one.since(then).report())
    });
    reports.collect()
}

/// In a few words, for the log.
impl fmt::Display for TimesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (took, count, mean) = (&self.took, self.count, self.mean_ms);
        write!(f, "{took}: {count}, {mean:.1} ms each")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(took: Took, buckets: [u64; 3], sum_micros: u64) -> TimesTally {
        TimesTally::of(took, &[0.01, 0.1], &buckets, sum_micros)
    }

    fn answer() -> Took {
        Took::Answer {
            proxy: "a.test".to_owned(),
        }
    }

    #[test]
    fn a_report_says_how_many_how_long_each_and_nine_in_ten() {
        let report = tally(answer(), [9, 1, 0], 50_000).report().unwrap();
        assert_eq!((report.count, report.p90_ms), (10, Some(10.0)));
        assert_eq!(report.to_string(), "a.test: 10, 5.0 ms each");
        let slow = tally(Took::Wait, [0, 1, 1], 1).report().unwrap();
        assert_eq!(slow.p90_ms, None, "beyond the last bound");
        assert_eq!(tally(answer(), [0; 3], 0).report(), None);
    }

    #[test]
    fn between_two_looks_only_what_has_come_counts() {
        let before = [
            tally(answer(), [9, 1, 0], 50_000),
            tally(Took::Wait, [2, 0, 0], 1),
        ];
        let now = [
            tally(answer(), [9, 3, 0], 250_000),
            tally(Took::Wait, [2, 0, 0], 1),
        ];
        let reports = times_since(&now, &before);
        let told: Vec<_> = reports.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["a.test: 2, 100.0 ms each"]);
        // Counted anew meanwhile: another name's row.
        let anew = [tally(answer(), [1, 0, 0], 7000)];
        assert_eq!(times_since(&anew, &before)[0].count, 1);
    }

    #[test]
    fn it_has_one_encoding() {
        let took = Took::Backend {
            proxy: "a.test".to_owned(),
            backend: "one".to_owned(),
        };
        let tally = tally(took, [1, 2, 3], 9);
        let json = r#"{"what":"backend","proxy":"a.test","backend":"one","bounds":[0.01,0.1],"buckets":[1,2,3],"sum_micros":9}"#;
        assert_eq!(serde_json::to_string(&tally).unwrap(), json);
        let read: TimesTally = serde_json::from_str(json).unwrap();
        assert_eq!(read, tally);
    }
}
