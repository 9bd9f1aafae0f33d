//! Of other hosts before the same servers.

use std::collections::BTreeMap;

use prometheus::proto::{MetricFamily, MetricType};

use tpp::control::{HostsStatus, SharedPoolStatus};

use super::{counter_of, family, gauge_of, label};
use crate::{
    hosts::{Calls, HostsCounts},
    outlook::snapshot::Snapshot,
};

/// States of a host.
const STATES: [&str; 5] = ["live", "leaving", "silent", "fenced", "off"];

/// Nothing, where this host is alone.
pub(super) fn hosts(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let Some((status, counts)) = &snapshot.hosts else {
        return Vec::new();
    };
    let pools: Vec<_> = status.pools.values().collect();
    let mut families = part(&pools).to_vec();
    families.extend(moves(&pools, counts));
    families.extend(store(status, counts));
    families
}

/// What this host and the others have.
fn part(pools: &[&SharedPoolStatus]) -> [MetricFamily; 4] {
    let rows = || pools.iter().flat_map(|pool| &pool.hosts);
    let count = |state: &str| rows().filter(|host| host.state == state).count() as f64;
    let me = || rows().filter(|host| host.me);
    let floating: u32 = me().map(|host| host.floating).sum();
    let home: u32 = me().map(|host| host.home).sum();
    let nearest = pools.iter().min_by_key(|pool| part_left(pool));
    let seconds = |millis: fn(&SharedPoolStatus) -> u64| {
        let gauge = nearest.map(|pool| gauge_of(millis(pool) as f64 / 1000.0, vec![]));
        gauge.into_iter().collect()
    };
    [
        family(
            "tpp_hosts",
            "Hosts before the same servers, as this one sees them.",
            MetricType::GAUGE,
            STATES
                .map(|state| gauge_of(count(state), vec![label("state", state)]))
                .into(),
        ),
        family(
            "tpp_host_sessions",
            "Sessions that this host has.",
            MetricType::GAUGE,
            [("floating", floating), ("home", home)]
                .map(|(class, sessions)| gauge_of(f64::from(sessions), vec![label("class", class)]))
                .into(),
        ),
        family(
            "tpp_host_lend_margin_seconds",
            "For how much longer floating sessions are lent without another sign of life in etcd, in the pool where the least part of it is left.",
            MetricType::GAUGE,
            seconds(|pool| pool.lend_margin_ms),
        ),
        family(
            "tpp_host_lend_limit_seconds",
            "For how long they are lent there after a sign of life: 8/15 of the takeover time in force.",
            MetricType::GAUGE,
            seconds(|pool| pool.lend_limit_ms),
        ),
    ]
}

/// Of the time for which a pool's floating sessions are lent, in thousandths; one that has not begun comes last.
fn part_left(pool: &SharedPoolStatus) -> u64 {
    let left = (pool.lend_margin_ms * 1000).checked_div(pool.lend_limit_ms);
    left.unwrap_or(u64::MAX)
}

/// What came and went.
fn moves(pools: &[&SharedPoolStatus], counts: &HostsCounts) -> [MetricFamily; 4] {
    let mut moved: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in pools.iter().flat_map(|pool| &pool.moved) {
        *moved.entry(reason).or_default() += count;
    }
    let moved = moved.into_iter();
    [
        super::counter(
            "tpp_host_lapses_total",
            "Times that floating sessions were not lent any more for want of etcd.",
            pools.iter().map(|pool| pool.lapses).sum(),
        ),
        super::counter(
            "tpp_host_fenced_total",
            "Times that other hosts took this one's floating sessions.",
            pools.iter().map(|pool| pool.fenced).sum(),
        ),
        family(
            "tpp_sessions_moved_total",
            "Sessions that this host took because nobody had them, or gave to another; a gift counts where it was given, so over all hosts each move counts once.",
            MetricType::COUNTER,
            moved
                .map(|(reason, count)| counter_of(count, vec![label("reason", reason)]))
                .collect(),
        ),
        super::histogram(
            "tpp_session_move_seconds",
            "Time from a session's coming to this host until it had a token.",
            &counts.moves,
        ),
    ]
}

/// How etcd is.
fn store(status: &HostsStatus, counts: &HostsCounts) -> [MetricFamily; 2] {
    let size = status.members.iter().map(|member| member.db_bytes).max();
    let size = size.map(|bytes| gauge_of(bytes as f64, vec![]));
    [
        family(
            "tpp_etcd_requests_total",
            "What was asked of etcd.",
            MetricType::COUNTER,
            counts.calls.iter().flat_map(asked).collect(),
        ),
        family(
            "tpp_etcd_db_bytes",
            "Size of etcd's database, of the member where it is largest.",
            MetricType::GAUGE,
            size.into_iter().collect(),
        ),
    ]
}

fn asked(calls: &Calls) -> [prometheus::proto::Metric; 2] {
    [("ok", calls.ok), ("failed", calls.failed)].map(|(result, count)| {
        counter_of(count, vec![label("op", calls.op), label("result", result)])
    })
}
