//! A line in the log every so often: what each pool has done since the last one, and how long waits and answers took
//! (`telemetry.report_interval_seconds`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tpp::control::{PoolTally, TimesReport, times_since};
use tracing::info;

use crate::outlook::Outlook;

/// How often it is looked whether one is due, and how often one is wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Waits, hosts and backends that a line tells of: there may be thousands.
const MOST_TIMES: usize = 20;

/// Writes them for as long as the supervisor runs.
pub(crate) async fn write(outlook: Arc<Outlook>) {
    let mut last = (Instant::now(), outlook.tallies(), outlook.times());
    loop {
        tokio::time::sleep(LOOK).await;
        let every = outlook.in_force.now().config.telemetry.report_interval;
        let Some(every) = every else { continue };
        if last.0.elapsed() < every {
            continue;
        }
        let (now, took) = (outlook.tallies(), outlook.times());
        let (pools, times) = (line(&now, &last.1), most(times_since(&took, &last.2)));
        info!(pools, times, "report");
        last = (Instant::now(), now, took);
    }
}

/// What has come since `then`, all pools in one line.
fn line(now: &[PoolTally], then: &[PoolTally]) -> String {
    let reports = now.iter().map(|pool| {
        let before = then.iter().find(|before| before.name == pool.name);
        let new = before.map_or_else(|| pool.clone(), |before| pool.since(before));
        new.report().to_string()
    });
    reports.collect::<Vec<_>>().join("; ")
}

/// Those of `times` that were most, in one line.
fn most(mut times: Vec<TimesReport>) -> String {
    times.sort_by_key(|one| std::cmp::Reverse(one.count));
    let told = times.iter().take(MOST_TIMES).map(ToString::to_string);
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use tpp::control::{TimesTally, Took};

    use super::*;

    #[test]
    fn of_many_times_a_line_tells_of_those_that_were_most() {
        let times = (1..=30).map(|number| {
            let proxy = format!("h{number}.test");
            TimesTally::of(Took::Answer { proxy }, &[1.0], &[number, 0], number * 2000)
        });
        let told = most(times.filter_map(|one| one.report()).collect());
        assert!(
            told.starts_with("h30.test: 30, 2.0 ms each; h29.test: "),
            "{told}"
        );
        assert_eq!(told.split("; ").count(), MOST_TIMES);
        assert_eq!(most(Vec::new()), "");
    }

    #[test]
    fn a_line_tells_of_every_pool_what_is_new() {
        let pool = |name: &str, age_ms, hits| PoolTally {
            name: name.to_owned(),
            age_ms,
            hits,
            ..PoolTally::default()
        };
        let then = [pool("a", 1000, 5)];
        let now = [pool("a", 3000, 9), pool("b", 1000, 1)];
        assert_eq!(
            line(&now, &then),
            "a: hits 4 (2.00/s), misses 0 (0.00/s), refreshes 0 done 0 refused 0 in trouble, rests 0; \
             b: hits 1 (1.00/s), misses 0 (0.00/s), refreshes 0 done 0 refused 0 in trouble, rests 0"
        );
    }
}
