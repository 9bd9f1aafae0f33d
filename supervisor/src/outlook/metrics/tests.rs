mod scraper;

use std::sync::Arc;

use tpp::control::{CertificateStatus, PoolStatus};

use scraper::valid;

use super::*;
use crate::health::{Health, Seen};
use crate::outlook::snapshot::{Details, Exports, Identity, Numbers, examples};

fn rendered(snapshot: &Snapshot) -> String {
    text(&families(snapshot))
}

fn histogram_of(counts: &[(usize, u64)], sum_micros: u64) -> HistogramCounts {
    let mut histogram = HistogramCounts {
        sum_micros,
        ..HistogramCounts::default()
    };
    for &(bucket, count) in counts {
        histogram.buckets[bucket] = count;
    }
    histogram
}

fn worker(seat: u32, state: &str, connections: u64, waiting: u64) -> WorkerStatus {
    WorkerStatus {
        seat,
        state: state.to_owned(),
        connections,
        waiting,
        ..examples::worker()
    }
}

fn totals() -> Totals {
    Totals {
        connections_opened: 5000,
        connections_closed: 4850,
        requests: 123_456,
        request_errors: 5,
        acquisitions: 4990,
        releases: 4840,
        token_errors: 12,
        queue_timeouts: 4,
        queue_rejections: 2,
        clients_left: 1,
        waits_ended: std::array::from_fn(|at| at as u64),
        drain_cut: 7,
        log_lines_dropped: 0,
        refused_total: 12,
        refused_address: 13,
        refused_descriptors: 14,
        acquisition_wait: histogram_of(&[(0, 4000), (3, 900), (15, 90)], 1_500_000_250),
        connection_duration: histogram_of(&[(8, 4850)], 2_425_000_000),
        access_log_dropped: 0,
        handshakes_full: 80,
        handshakes_resumed: 20,
        handshakes_failed: 3,
        refused_proxy_header: 15,
    }
}

fn checked(id: &str, health: Health, (passed, failed): (u64, u64)) -> (String, Seen) {
    let seen = Seen {
        health,
        since: 1,
        last_error: None,
        passed,
        failed,
    };
    (id.to_owned(), seen)
}

fn certificate() -> CertificateStatus {
    CertificateStatus {
        name: "one".to_owned(),
        hosts: vec!["a.test".to_owned()],
        issuer: "CN=authority".to_owned(),
        source: "one.pem".to_owned(),
        not_after: 1_800_000_000,
        error: None,
        renewal: None,
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        gateway: tpp::control::GatewayStatus::default(),
        slow: tpp::control::Slow::default(),
        hosts: None,
        numbers: Numbers {
            idle_leases: 0,
            all_refused: None,
            pool: PoolStatus {
                total: 199,
                in_use: 150,
                available: 49,
                waiting: 3,
            },
            longest_wait: Duration::from_millis(1250),
            totals: totals(),
            refreshes: Refreshes {
                success: 400,
                refused: 1,
                trouble: 6,
            },
            pools: Vec::new(),
            each: Default::default(),
            paused: Vec::new(),
            all_paused: false,
            exports: Exports {
                spans_exported: 21,
                spans_dropped: 22,
                spans_lost: 23,
                taken: 24,
                failed: 25,
            },
            worker_restarts: 1,
            log_lines_dropped: 11,
            access_log_dropped: 15,
            uptime: Duration::from_secs(1),
        },
        details: Arc::new(Details {
            workers: vec![worker(0, "ready", 100, 1), worker(1, "starting", 50, 2)],
            configured_tokens: 200,
            refused_users: vec!["alice".to_owned()],
            certificates: vec![certificate()],
            checks: [
                checked("a", Health::Up, (7, 2)),
                checked("b", Health::Down, (0, 3)),
            ]
            .into(),
            config_generation: 2,
            upstream_addresses: vec![
                "10.0.0.1:80".parse().unwrap(),
                "10.0.0.2:80".parse().unwrap(),
            ],
            identity: Identity {
                version: "0.1.0".into(),
                started_at: 1_700_000_000,
                ..Identity::default()
            },
            ..Details::default()
        }),
    }
}

const EXPECTED: &str = include_str!("tests/expected.txt");

#[test]
fn the_text_names_every_number_in_one_order() {
    let text = rendered(&snapshot());
    for (got, expected) in text.lines().zip(EXPECTED.lines()) {
        assert_eq!(got, expected);
    }
    assert_eq!(text, EXPECTED);
}

#[test]
fn a_scraper_can_read_the_text() {
    valid(&rendered(&snapshot()));
}

#[test]
fn the_text_before_the_first_worker_is_valid_too() {
    let text = rendered(&Snapshot::default());
    valid(&text);
    assert!(!text.contains("tpp_worker_ready"), "{text}");
    assert!(text.contains("\ntpp_tokens_total 0\n"), "{text}");
}

#[test]
fn a_version_cannot_break_out_of_its_label() {
    let mut snapshot = snapshot();
    Arc::make_mut(&mut snapshot.details).identity.version = "1\"\\\n".into();
    let text = rendered(&snapshot);
    assert!(
        text.contains("tpp_build_info{version=\"1\\\"\\\\\\n\"} 1\n"),
        "{text}"
    );
}

#[test]
fn pools_are_told_apart_by_name() {
    let mut snapshot = snapshot();
    let mut buckets = vec![0; tpp::shared::Latency::BUCKETS];
    (buckets[9], buckets[16]) = (3, 1);
    let pool = tpp::control::PoolTally {
        name: "api".to_owned(),
        hits: 12,
        misses: 2,
        refreshes: tpp::control::RefreshCounts {
            success: 3,
            refused: 0,
            trouble: 1,
        },
        refresh_buckets: buckets,
        refresh_micros: 20_300_000,
        rests: 5,
        ..Default::default()
    };
    snapshot.numbers.pools = vec![pool];
    let text = rendered(&snapshot);
    for line in [
        r#"tpp_pool_token_hits_total{pool="api"} 12"#,
        r#"tpp_pool_token_misses_total{pool="api"} 2"#,
        r#"tpp_pool_refreshes_total{pool="api",result="success"} 3"#,
        r#"tpp_pool_refreshes_total{pool="api",result="refused"} 0"#,
        r#"tpp_pool_refreshes_total{pool="api",result="trouble"} 1"#,
        r#"tpp_pool_refresh_duration_seconds_bucket{pool="api",le="0.05"} 0"#,
        r#"tpp_pool_refresh_duration_seconds_bucket{pool="api",le="0.1"} 3"#,
        r#"tpp_pool_refresh_duration_seconds_bucket{pool="api",le="+Inf"} 4"#,
        r#"tpp_pool_refresh_duration_seconds_sum{pool="api"} 20.3"#,
        r#"tpp_pool_refresh_duration_seconds_count{pool="api"} 4"#,
        r#"tpp_pool_rests_total{pool="api"} 5"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} in:\n{text}"
        );
    }
}
