//! What is slow, and what fails: who has held a token for long, whose logins fail, which backend takes its time.

use serde::{Deserialize, Serialize};

use crate::shared::{Latency, LatencyCounts};

/// A token that is held now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its pool.
    pub pool: String,
    /// Its slot.
    pub slot: u32,
    /// Whose it is.
    pub user: String,
    /// For how long, milliseconds.
    pub held_ms: u64,
    /// The client's address, if it has one.
    pub client: Option<String>,
    /// For how long its connection has asked nothing, milliseconds; `None`: a request is under way.
    pub idle_ms: Option<u64>,
    /// Seat of the worker that has the connection.
    pub worker: u32,
}

/// A hold that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldEnded {
    /// The pool.
    pub pool: String,
    /// The slot.
    pub slot: u32,
    /// For how long it was held, milliseconds.
    pub held_ms: u64,
    /// The client's address, if it has one.
    pub client: Option<String>,
    /// How long ago it ended, milliseconds.
    pub ended_ms_ago: u64,
}

/// An account whose last login failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingAccount {
    /// Its pool.
    pub pool: String,
    /// Its user name.
    pub user: String,
    /// Its logins that have failed.
    pub errors: u64,
    /// Why the last one did.
    pub last_error: String,
}

/// How long a backend took, from a request's first byte to the head of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AnswerTimes {
    /// Over the last so many seconds.
    pub seconds: f64,
    /// Answers.
    pub count: u64,
    /// On average, milliseconds.
    pub mean_ms: f64,
    /// Within how long 95 in 100 came, milliseconds: a bound of [`Latency::BOUNDS`]; `None`: beyond the last.
    pub p95_ms: Option<f64>,
}

impl AnswerTimes {
    /// Of `counts`, which were counted over so many seconds; `None`: there was no answer.
    #[must_use]
    pub fn of(counts: &LatencyCounts, seconds: f64) -> Option<Self> {
        let count: u64 = counts.buckets.iter().sum();
        let most = count.saturating_mul(95).div_ceil(100);
        let mut seen = 0;
        let mut bounds = counts.buckets.iter().zip(Latency::BOUNDS);
        let found = bounds.find(|(in_bucket, _)| {
            seen += **in_bucket;
            seen >= most
        });
        (count > 0).then(|| Self {
            seconds,
            count,
            mean_ms: counts.sum_micros as f64 / 1000.0 / count as f64,
            p95_ms: found.map(|(_, bound)| bound * 1000.0),
        })
    }
}

/// A backend with its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowBackend {
    /// Its id.
    pub id: String,
    /// Its times.
    #[serde(flatten)]
    pub answers: AnswerTimes,
}

/// What is slow over all pools and backends.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Slow {
    /// Who has held a token longest, of those that hold one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_hold: Option<Hold>,
    /// The longest hold that ended in the last minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_ended_hold: Option<HoldEnded>,
    /// Accounts whose last logins failed, those with the most failures first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing_accounts: Vec<FailingAccount>,
    /// The backend that takes longest on average, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_backend: Option<SlowBackend>,
}

impl Slow {
    /// Whether there is nothing to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(buckets: &[(usize, u64)], sum_micros: u64) -> LatencyCounts {
        let mut counts = LatencyCounts {
            sum_micros,
            ..LatencyCounts::default()
        };
        for (at, count) in buckets {
            counts.buckets[*at] = *count;
        }
        counts
    }

    #[test]
    fn the_mean_is_exact_and_the_95th_a_buckets_bound() {
        // 95 within 1 ms, five within 100 ms.
        let times = AnswerTimes::of(&counts(&[(3, 95), (9, 5)], 590_000), 60.0);
        let times = times.expect("there were answers");
        assert_eq!((times.count, times.mean_ms), (100, 5.9));
        assert_eq!(times.p95_ms, Some(1.0));
        let slower = AnswerTimes::of(&counts(&[(3, 94), (9, 6)], 590_000), 60.0);
        assert_eq!(slower.and_then(|times| times.p95_ms), Some(100.0));
    }

    #[test]
    fn no_answer_has_no_time_and_what_is_beyond_all_bounds_no_95th() {
        assert_eq!(AnswerTimes::of(&LatencyCounts::default(), 60.0), None);
        let last = Latency::BUCKETS - 1;
        let times = AnswerTimes::of(&counts(&[(last, 1)], 20_000_000), 60.0);
        let times = times.expect("there was one");
        assert_eq!((times.mean_ms, times.p95_ms), (20_000.0, None));
    }
}
