//! What pools of tokens have done: counts as the supervisor has them, and what they say over a time.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::shared::{Latency, LatencyCounts, PoolCounts};

/// What was counted of a pool so far, by all its workers and supervisors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolTally {
    /// Its name.
    pub name: String,
    /// How it gets its tokens.
    pub provider: String,
    /// Since it is counted, milliseconds.
    pub age_ms: u64,
    /// Leases that found a good token.
    pub hits: u64,
    /// Times that somebody had to wait for a login.
    pub misses: u64,
    /// Connections cut because the time of their session was over on this host.
    #[serde(default)]
    pub cut: u64,
    /// Logins by result.
    pub refreshes: RefreshCounts,
    /// How many logins took how long, in the buckets of [`Latency::BOUNDS`] and one more.
    pub refresh_buckets: Vec<u64>,
    /// How long all took together, microseconds.
    pub refresh_micros: u64,
    /// Rests begun: of refused accounts, and of keys that were used up.
    pub rests: u64,
}

/// Logins by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RefreshCounts {
    /// A new token is in.
    pub success: u64,
    /// The server refused the account.
    pub refused: u64,
    /// The server could not be reached or understood, or was busy.
    pub trouble: u64,
}

/// What a pool did over a time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// How it gets its tokens.
    pub provider: String,
    /// The time, seconds.
    pub seconds: f64,
    /// Leases that found a good token.
    pub hits: u64,
    /// Of all leases that wanted one, percent; `None`: there was none.
    pub hit_percent: Option<f64>,
    /// Hits each second.
    pub hits_per_second: f64,
    /// Times that somebody had to wait for a login.
    pub misses: u64,
    /// Misses each second.
    pub misses_per_second: f64,
    /// Logins by result.
    pub refreshes: RefreshCounts,
    /// Logins each hour, however they ended.
    pub refreshes_per_hour: f64,
    /// How long a login took on average, milliseconds; `None`: there was none.
    pub refresh_mean_ms: Option<f64>,
    /// Within how long nine in ten were done, milliseconds: a bound of [`Latency::BOUNDS`]; `None`: none, or beyond the last.
    pub refresh_p90_ms: Option<f64>,
    /// Rests begun.
    pub rests: u64,
}

impl PoolTally {
    /// Of these counts.
    #[must_use]
    pub fn of(name: &str, provider: &str, counts: &PoolCounts) -> Self {
        let LatencyCounts {
            buckets,
            sum_micros,
        } = counts.duration;
        Self {
            name: name.to_owned(),
            provider: provider.to_owned(),
            age_ms: u64::try_from(counts.age.as_millis()).unwrap_or(u64::MAX),
            hits: counts.hits,
            misses: counts.misses,
            cut: counts.cut,
            refreshes: RefreshCounts {
                success: counts.succeeded,
                refused: counts.refused,
                trouble: counts.failed,
            },
            refresh_buckets: buckets.to_vec(),
            refresh_micros: sum_micros,
            rests: counts.rests,
        }
    }

    /// What has come since `before`, of the same pool. One that was counted longer than this is another: it was taken away meanwhile.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        if before.age_ms > self.age_ms {
            return self.clone();
        }
        let now = self.refreshes;
        let then = before.refreshes;
        let buckets = self.refresh_buckets.iter().enumerate();
        Self {
            name: self.name.clone(),
            provider: self.provider.clone(),
            age_ms: self.age_ms - before.age_ms,
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            cut: self.cut.saturating_sub(before.cut),
            refreshes: RefreshCounts {
                success: now.success.saturating_sub(then.success),
                refused: now.refused.saturating_sub(then.refused),
                trouble: now.trouble.saturating_sub(then.trouble),
            },
            refresh_buckets: buckets
                .map(|(at, count)| {
                    let then = before.refresh_buckets.get(at).copied();
                    count.saturating_sub(then.unwrap_or(0))
                })
                .collect(),
            refresh_micros: self.refresh_micros.saturating_sub(before.refresh_micros),
            rests: self.rests.saturating_sub(before.rests),
        }
    }

    /// What it says over its time.
    #[must_use]
    pub fn report(&self) -> PoolReport {
        let seconds = Duration::from_millis(self.age_ms).as_secs_f64();
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let asked = self.hits + self.misses;
        let logins: u64 = self.refresh_buckets.iter().sum();
        let mean = self.refresh_micros as f64 / 1000.0 / logins as f64;
        PoolReport {
            name: self.name.clone(),
            provider: self.provider.clone(),
            seconds,
            hits: self.hits,
            hit_percent: (asked > 0).then(|| self.hits as f64 * 100.0 / asked as f64),
            hits_per_second: per_second(self.hits),
            misses: self.misses,
            misses_per_second: per_second(self.misses),
            refreshes: self.refreshes,
            refreshes_per_hour: per_second(logins) * 3600.0,
            refresh_mean_ms: (logins > 0).then_some(mean),
            refresh_p90_ms: self.within(logins.saturating_mul(9).div_ceil(10)),
            rests: self.rests,
        }
    }

    /// The bound within which so many logins were done, milliseconds.
    fn within(&self, most: u64) -> Option<f64> {
        let mut seen = 0;
        let mut bounds = self.refresh_buckets.iter().zip(Latency::BOUNDS);
        let found = bounds.find(|(count, _)| {
            seen += **count;
            most > 0 && seen >= most
        });
        found.map(|(_, bound)| bound * 1000.0)
    }
}

/// In one line, for the log.
impl fmt::Display for PoolReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefreshCounts {
            success,
            refused,
            trouble,
        } = self.refreshes;
        write!(
            f,
            "{}: hits {} ({:.2}/s), misses {} ({:.2}/s), refreshes {success} done {refused} refused {trouble} in trouble",
            self.name, self.hits, self.hits_per_second, self.misses, self.misses_per_second
        )?;
        if let Some(mean) = self.refresh_mean_ms {
            write!(f, ", {mean:.0} ms each")?;
        }
        write!(f, ", rests {}", self.rests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(age_ms: u64, hits: u64, logins: [(usize, u64); 2]) -> PoolTally {
        let mut refresh_buckets = vec![0; Latency::BUCKETS];
        for (bucket, count) in logins {
            refresh_buckets[bucket] = count;
        }
        PoolTally {
            name: "api".to_owned(),
            provider: "oauth2".to_owned(),
            age_ms,
            hits,
            misses: 5,
            cut: 0,
            refreshes: RefreshCounts {
                success: 9,
                refused: 1,
                trouble: 0,
            },
            refresh_buckets,
            refresh_micros: 400_000,
            rests: 1,
        }
    }

    #[test]
    fn rates_are_over_the_time_that_was_counted() {
        // Nine logins within 25 ms, one within 1 s.
        let report = tally(10_000, 95, [(7, 9), (12, 1)]).report();
        assert_eq!((report.seconds, report.hits_per_second), (10.0, 9.5));
        assert_eq!(report.hit_percent, Some(95.0));
        assert_eq!(report.refreshes_per_hour, 3600.0);
        assert_eq!(report.refresh_mean_ms, Some(40.0));
        assert_eq!(report.refresh_p90_ms, Some(25.0));
        assert_eq!(
            report.to_string(),
            "api: hits 95 (9.50/s), misses 5 (0.50/s), refreshes 9 done 1 refused 0 in trouble, 40 ms each, rests 1"
        );
    }

    #[test]
    fn between_two_looks_only_what_has_come_counts() {
        let before = tally(10_000, 95, [(7, 9), (12, 1)]);
        let now = tally(12_000, 195, [(7, 9), (12, 3)]);
        let report = now.since(&before).report();
        assert_eq!((report.seconds, report.hits, report.misses), (2.0, 100, 0));
        assert_eq!(report.refresh_p90_ms, Some(1000.0));
        let quiet = now.since(&now).report();
        assert_eq!(
            (
                quiet.hit_percent,
                quiet.refresh_mean_ms,
                quiet.refresh_p90_ms
            ),
            (None, None, None)
        );
        assert_eq!(quiet.hits_per_second, 0.0, "over no time at all");
    }

    #[test]
    fn a_pool_that_was_made_anew_meanwhile_counts_from_its_begin() {
        let before = tally(10_000, 95, [(7, 9), (12, 1)]);
        let now = tally(1_000, 3, [(7, 1), (12, 0)]);
        assert_eq!(now.since(&before), now);
    }

    #[test]
    fn what_took_longer_than_any_bound_has_none() {
        let report = tally(1, 0, [(Latency::BUCKETS - 1, 4), (0, 0)]).report();
        assert_eq!(report.refresh_p90_ms, None);
    }
}
