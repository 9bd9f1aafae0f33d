//! Of pools of tokens: whether a lease found one, and what logins came to.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use tpp::{control::PoolTally, shared::Latency};

use super::{counter_of, family, gauge_of, histogram_of, label};
use crate::outlook::snapshot::{OfPool, Snapshot};

pub(super) fn pools(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let pools = &snapshot.numbers.pools;
    let count = |name, help, value: fn(&PoolTally) -> u64| {
        let samples = pools
            .iter()
            .map(|pool| counter_of(value(pool), vec![label("pool", &pool.name)]));
        family(name, help, MetricType::COUNTER, samples.collect())
    };
    let mut families = now(snapshot);
    families.extend([
        count(
            "tpp_pool_token_hits_total",
            "Leases that found a good token.",
            |pool| pool.hits,
        ),
        count(
            "tpp_pool_token_misses_total",
            "Times that somebody had to wait for a login, in line or with a token that was turned down.",
            |pool| pool.misses,
        ),
        family(
            "tpp_pool_refreshes_total",
            "Logins by result.",
            MetricType::COUNTER,
            pools.iter().flat_map(refreshes).collect(),
        ),
        family(
            "tpp_pool_refresh_duration_seconds",
            "How long logins took, however they ended.",
            MetricType::HISTOGRAM,
            pools.iter().map(durations).collect(),
        ),
        count(
            "tpp_pool_rests_total",
            "Rests begun: of accounts that were refused, of keys that were used up.",
            |pool| pool.rests,
        ),
    ]);
    families
}

/// What each pool has at this moment, and who waits for it.
fn now(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let gauge = |name, help, value: fn(&OfPool) -> f64| {
        let samples = snapshot.numbers.each.iter();
        let samples = samples.map(|(pool, one)| gauge_of(value(one), vec![label("pool", pool)]));
        family(name, help, MetricType::GAUGE, samples.collect())
    };
    vec![
        gauge(
            "tpp_pool_tokens",
            "Slots of the pool that hold a usable token.",
            |pool| pool.numbers.total as f64,
        ),
        gauge(
            "tpp_pool_tokens_in_use",
            "Usable tokens of the pool that are lent out.",
            |pool| pool.numbers.in_use as f64,
        ),
        gauge(
            "tpp_pool_tokens_available",
            "Usable tokens of the pool that are free; none of one that is paused.",
            |pool| pool.numbers.available as f64,
        ),
        gauge(
            "tpp_pool_waiting",
            "Connections in line for a token of the pool.",
            |pool| pool.numbers.waiting as f64,
        ),
        gauge(
            "tpp_pool_longest_wait_seconds",
            "How long the one who waits longest for the pool has waited.",
            |pool| pool.longest_wait.as_secs_f64(),
        ),
        gauge("tpp_pool_paused", "Whether the pool is paused.", |pool| {
            f64::from(u8::from(pool.paused))
        }),
    ]
}

fn refreshes(pool: &PoolTally) -> [Metric; 3] {
    let counts = pool.refreshes;
    let results = [
        ("success", counts.success),
        ("refused", counts.refused),
        ("trouble", counts.trouble),
    ];
    results.map(|(result, count)| {
        let labels = vec![label("pool", &pool.name), label("result", result)];
        counter_of(count, labels)
    })
}

fn durations(pool: &PoolTally) -> Metric {
    let counts = pool.refresh_buckets.iter().copied();
    let all = counts.clone().sum();
    let buckets = Latency::BOUNDS.into_iter().zip(counts);
    let labels = vec![label("pool", &pool.name)];
    histogram_of(buckets, all, pool.refresh_micros, labels)
}
