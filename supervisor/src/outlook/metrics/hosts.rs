//! Of other hosts before the same servers.

use std::collections::BTreeMap;

use prometheus::proto::{MetricFamily, MetricType};

use super::{counter_of, family, gauge_of, label};
use crate::{hosts::Calls, outlook::snapshot::Snapshot};

/// States of a host.
const STATES: [&str; 5] = ["live", "leaving", "silent", "fenced", "off"];

/// Nothing, where this host is alone.
pub(super) fn hosts(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let Some((status, calls)) = &snapshot.hosts else {
        return Vec::new();
    };
    let pools: Vec<_> = status.pools.values().collect();
    let me = || {
        pools
            .iter()
            .flat_map(|pool| &pool.hosts)
            .filter(|host| host.me)
    };
    let count = |state: &str| {
        let hosts = pools.iter().flat_map(|pool| &pool.hosts);
        hosts.filter(|host| host.state == state).count() as f64
    };
    let mut moved: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in pools.iter().flat_map(|pool| &pool.moved) {
        *moved.entry(reason).or_default() += count;
    }
    let margin = pools.iter().map(|pool| pool.lend_margin_ms).min();
    let floating: u32 = me().map(|host| host.floating).sum();
    let home: u32 = me().map(|host| host.home).sum();
    let size = status.members.iter().map(|member| member.db_bytes).max();
    vec![
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
            "For how much longer floating sessions are lent without another sign of life in etcd.",
            MetricType::GAUGE,
            margin
                .map(|margin| gauge_of(margin as f64 / 1000.0, vec![]))
                .into_iter()
                .collect(),
        ),
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
            "Sessions that came to this host or went from it.",
            MetricType::COUNTER,
            moved
                .into_iter()
                .map(|(reason, count)| counter_of(count, vec![label("reason", reason)]))
                .collect(),
        ),
        family(
            "tpp_etcd_requests_total",
            "What was asked of etcd.",
            MetricType::COUNTER,
            calls.iter().flat_map(asked).collect(),
        ),
        family(
            "tpp_etcd_db_bytes",
            "Size of etcd's database, of the member where it is largest.",
            MetricType::GAUGE,
            size.map(|bytes| gauge_of(bytes as f64, vec![]))
                .into_iter()
                .collect(),
        ),
    ]
}

fn asked(calls: &Calls) -> [prometheus::proto::Metric; 2] {
    [("ok", calls.ok), ("failed", calls.failed)].map(|(result, count)| {
        counter_of(count, vec![label("op", calls.op), label("result", result)])
    })
}
