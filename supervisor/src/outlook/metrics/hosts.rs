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

#[cfg(test)]
mod tests {
    use tpp::control::{EtcdStatus, HostLine};
    use tpp::shared::HistogramCounts;

    use super::*;
    use crate::outlook::{metrics::text, snapshot::examples};

    fn host(state: &str, me: bool, floating: u32, home: u32) -> HostLine {
        HostLine {
            state: state.to_owned(),
            me,
            floating,
            home,
            ..HostLine::default()
        }
    }

    fn pool(hosts: Vec<HostLine>, (left, limit): (u64, u64), taken: u64) -> SharedPoolStatus {
        SharedPoolStatus {
            hosts,
            lend_margin_ms: left,
            lend_limit_ms: limit,
            moved: [("taken".to_owned(), taken)].into(),
            lapses: 2,
            fenced: 1,
            ..SharedPoolStatus::default()
        }
    }

    fn shown(pools: Vec<SharedPoolStatus>) -> String {
        let numbered = pools.into_iter().enumerate();
        let member = |db_bytes| EtcdStatus {
            db_bytes,
            ..EtcdStatus::default()
        };
        let status = HostsStatus {
            pools: numbered.map(|(at, pool)| (at.to_string(), pool)).collect(),
            members: vec![member(10), member(30), member(20)],
            ..HostsStatus::default()
        };
        let moves = HistogramCounts {
            sum_micros: 2_000_000,
            ..HistogramCounts::default()
        };
        let counts = HostsCounts {
            calls: vec![Calls {
                op: "txn",
                ok: 7,
                failed: 1,
            }],
            moves,
        };
        text(&hosts(&Snapshot {
            hosts: Some((status, counts)),
            ..examples::snapshot(0, 0)
        }))
    }

    fn holds(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|one| one == *line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_host_that_is_alone_shows_nothing_of_others() {
        assert!(hosts(&examples::snapshot(0, 0)).is_empty());
    }

    #[test]
    fn what_pools_have_is_summed_up_and_others_sessions_are_not_counted_as_ours() {
        let one = vec![host("live", true, 3, 1), host("silent", false, 50, 50)];
        let two = vec![host("live", true, 4, 0), host("live", false, 50, 50)];
        let text = shown(vec![pool(one, (0, 0), 5), pool(two, (0, 0), 6)]);
        holds(
            &text,
            &[
                r#"tpp_hosts{state="live"} 3"#,
                r#"tpp_hosts{state="silent"} 1"#,
                r#"tpp_hosts{state="fenced"} 0"#,
                r#"tpp_host_sessions{class="floating"} 7"#,
                r#"tpp_host_sessions{class="home"} 1"#,
                "tpp_host_lapses_total 4",
                "tpp_host_fenced_total 2",
                r#"tpp_sessions_moved_total{reason="taken"} 11"#,
                "tpp_session_move_seconds_sum 2",
                r#"tpp_etcd_requests_total{op="txn",result="ok"} 7"#,
                r#"tpp_etcd_requests_total{op="txn",result="failed"} 1"#,
                "tpp_etcd_db_bytes 30",
            ],
        );
    }

    #[test]
    fn the_margin_is_of_the_pool_that_has_the_least_part_of_it_left() {
        // The second has less time, and a larger part of it; the third has not begun.
        let pools = vec![
            pool(vec![], (4000, 16000), 0),
            pool(vec![], (3000, 8000), 0),
            pool(vec![], (0, 0), 0),
        ];
        holds(
            &shown(pools),
            &[
                "tpp_host_lend_margin_seconds 4",
                "tpp_host_lend_limit_seconds 16",
            ],
        );
    }
}
