//! A line in the log every so often: what each pool has done since the last one (`telemetry.report_interval_seconds`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tpp::control::PoolTally;
use tracing::info;

use crate::outlook::Outlook;

/// How often it is looked whether one is due, and how often one is wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Writes them for as long as the supervisor runs.
pub(crate) async fn write(outlook: Arc<Outlook>) {
    let mut last = (Instant::now(), outlook.tallies());
    loop {
        tokio::time::sleep(LOOK).await;
        let every = outlook.in_force.now().config.telemetry.report_interval;
        let Some(every) = every else { continue };
        if last.0.elapsed() < every {
            continue;
        }
        let now = outlook.tallies();
        let pools = line(&now, &last.1);
        info!(pools, "report");
        last = (Instant::now(), now);
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

#[cfg(test)]
mod tests {
    use super::*;

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
