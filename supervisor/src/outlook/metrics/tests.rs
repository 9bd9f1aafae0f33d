use std::{collections::BTreeSet, sync::Arc};

use tpp::control::{CertificateStatus, PoolStatus};

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

const EXPECTED: &str = "\
# HELP tpp_tokens_total Slots that hold a usable token.
# TYPE tpp_tokens_total gauge
tpp_tokens_total 199
# HELP tpp_tokens_in_use Usable tokens that are lent out.
# TYPE tpp_tokens_in_use gauge
tpp_tokens_in_use 150
# HELP tpp_tokens_available Usable tokens that are free.
# TYPE tpp_tokens_available gauge
tpp_tokens_available 49
# HELP tpp_requests_waiting Connections in line for a token.
# TYPE tpp_requests_waiting gauge
tpp_requests_waiting 3
# HELP tpp_tokens_configured Slots configured.
# TYPE tpp_tokens_configured gauge
tpp_tokens_configured 200
# HELP tpp_longest_wait_seconds How long the one who waits longest has waited.
# TYPE tpp_longest_wait_seconds gauge
tpp_longest_wait_seconds 1.25
# HELP tpp_token_acquisitions_total Tokens lent out.
# TYPE tpp_token_acquisitions_total counter
tpp_token_acquisitions_total 4990
# HELP tpp_token_releases_total Tokens given back, by workers or for dead ones.
# TYPE tpp_token_releases_total counter
tpp_token_releases_total 4840
# HELP tpp_token_errors_total Requests whose token the upstream refused with 401.
# TYPE tpp_token_errors_total counter
tpp_token_errors_total 12
# HELP tpp_requests_total Requests read from clients.
# TYPE tpp_requests_total counter
tpp_requests_total 123456
# HELP tpp_requests_errors_total Requests that tpp answered with an error of its own.
# TYPE tpp_requests_errors_total counter
tpp_requests_errors_total 5
# HELP tpp_queue_timeouts_total Clients told that no token came free in time.
# TYPE tpp_queue_timeouts_total counter
tpp_queue_timeouts_total 4
# HELP tpp_queue_rejections_total Clients turned away because the line was full.
# TYPE tpp_queue_rejections_total counter
tpp_queue_rejections_total 2
# HELP tpp_queue_abandoned_total Clients that left while they waited.
# TYPE tpp_queue_abandoned_total counter
tpp_queue_abandoned_total 1
# HELP tpp_connections_opened_total Client connections accepted.
# TYPE tpp_connections_opened_total counter
tpp_connections_opened_total 5000
# HELP tpp_connections_closed_total Client connections that ended.
# TYPE tpp_connections_closed_total counter
tpp_connections_closed_total 4850
# HELP tpp_connections_cut_total Client connections closed in the middle of something: the time to drain was over, or that of a session shared with other hosts.
# TYPE tpp_connections_cut_total counter
tpp_connections_cut_total{reason=\"drain\"} 7
tpp_connections_cut_total{reason=\"hosts\"} 0
# HELP tpp_connections_refused_total Client connections refused for want of room, by the bound that was reached.
# TYPE tpp_connections_refused_total counter
tpp_connections_refused_total{reason=\"max_connections\"} 12
tpp_connections_refused_total{reason=\"per_address\"} 13
tpp_connections_refused_total{reason=\"descriptors\"} 14
# HELP tpp_waits_ended_total Waits that were ended because their bound was over, by who had kept them waiting.
# TYPE tpp_waits_ended_total counter
tpp_waits_ended_total{reason=\"client_head\"} 0
tpp_waits_ended_total{reason=\"client_sends_nothing\"} 1
tpp_waits_ended_total{reason=\"client_sends_slowly\"} 2
tpp_waits_ended_total{reason=\"client_reads_nothing\"} 3
tpp_waits_ended_total{reason=\"client_reads_slowly\"} 4
tpp_waits_ended_total{reason=\"upstream_head\"} 5
tpp_waits_ended_total{reason=\"upstream_reads_nothing\"} 6
tpp_waits_ended_total{reason=\"upstream_sends_nothing\"} 7
tpp_waits_ended_total{reason=\"tunnel\"} 8
tpp_waits_ended_total{reason=\"hold\"} 9
tpp_waits_ended_total{reason=\"half_closed\"} 10
tpp_waits_ended_total{reason=\"abandoned\"} 11
# HELP tpp_tls_handshakes_total TLS handshakes with clients, by what came of them.
# TYPE tpp_tls_handshakes_total counter
tpp_tls_handshakes_total{result=\"full\"} 80
tpp_tls_handshakes_total{result=\"resumed\"} 20
tpp_tls_handshakes_total{result=\"failed\"} 3
# HELP tpp_acquisition_wait_seconds Time from asking for a token to having it.
# TYPE tpp_acquisition_wait_seconds histogram
tpp_acquisition_wait_seconds_bucket{le=\"0.0001\"} 4000
tpp_acquisition_wait_seconds_bucket{le=\"0.0005\"} 4000
tpp_acquisition_wait_seconds_bucket{le=\"0.001\"} 4000
tpp_acquisition_wait_seconds_bucket{le=\"0.005\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"0.01\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"0.05\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"0.1\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"0.5\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"1\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"5\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"10\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"60\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"300\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"1800\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"7200\"} 4900
tpp_acquisition_wait_seconds_bucket{le=\"+Inf\"} 4990
tpp_acquisition_wait_seconds_sum 1500.00025
tpp_acquisition_wait_seconds_count 4990
# HELP tpp_connection_duration_seconds Life of a client connection.
# TYPE tpp_connection_duration_seconds histogram
tpp_connection_duration_seconds_bucket{le=\"0.0001\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.0005\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.001\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.005\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.01\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.05\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.1\"} 0
tpp_connection_duration_seconds_bucket{le=\"0.5\"} 0
tpp_connection_duration_seconds_bucket{le=\"1\"} 4850
tpp_connection_duration_seconds_bucket{le=\"5\"} 4850
tpp_connection_duration_seconds_bucket{le=\"10\"} 4850
tpp_connection_duration_seconds_bucket{le=\"60\"} 4850
tpp_connection_duration_seconds_bucket{le=\"300\"} 4850
tpp_connection_duration_seconds_bucket{le=\"1800\"} 4850
tpp_connection_duration_seconds_bucket{le=\"7200\"} 4850
tpp_connection_duration_seconds_bucket{le=\"+Inf\"} 4850
tpp_connection_duration_seconds_sum 2425
tpp_connection_duration_seconds_count 4850
# HELP tpp_certificate_not_after_seconds When a certificate ends, Unix time.
# TYPE tpp_certificate_not_after_seconds gauge
tpp_certificate_not_after_seconds{certificate=\"one\"} 1800000000
# HELP tpp_token_refreshes_total Token refreshes by result.
# TYPE tpp_token_refreshes_total counter
tpp_token_refreshes_total{result=\"success\"} 400
tpp_token_refreshes_total{result=\"refused\"} 1
tpp_token_refreshes_total{result=\"trouble\"} 6
# HELP tpp_login_failures_total Logins that failed.
# TYPE tpp_login_failures_total counter
tpp_login_failures_total 7
# HELP tpp_accounts_refused Accounts whose logins the server refuses.
# TYPE tpp_accounts_refused gauge
tpp_accounts_refused 1
# HELP tpp_worker_restarts_total Times a worker ended unplanned.
# TYPE tpp_worker_restarts_total counter
tpp_worker_restarts_total 1
# HELP tpp_worker_ready Whether the worker serves.
# TYPE tpp_worker_ready gauge
tpp_worker_ready{worker=\"0\"} 1
tpp_worker_ready{worker=\"1\"} 0
# HELP tpp_worker_connections Open client connections of the worker.
# TYPE tpp_worker_connections gauge
tpp_worker_connections{worker=\"0\"} 100
tpp_worker_connections{worker=\"1\"} 50
# HELP tpp_worker_waiting Connections in line for a token in the worker.
# TYPE tpp_worker_waiting gauge
tpp_worker_waiting{worker=\"0\"} 1
tpp_worker_waiting{worker=\"1\"} 2
# HELP tpp_health_check_up Whether health checks find the backend able to serve.
# TYPE tpp_health_check_up gauge
tpp_health_check_up{backend=\"a\"} 1
tpp_health_check_up{backend=\"b\"} 0
# HELP tpp_health_check_total Health checks by result.
# TYPE tpp_health_check_total counter
tpp_health_check_total{backend=\"a\",result=\"failure\"} 2
tpp_health_check_total{backend=\"a\",result=\"success\"} 7
tpp_health_check_total{backend=\"b\",result=\"failure\"} 3
tpp_health_check_total{backend=\"b\",result=\"success\"} 0
# HELP tpp_config_generation Configurations put in force, the first included.
# TYPE tpp_config_generation gauge
tpp_config_generation 2
# HELP tpp_config_last_reload_success Whether the last reload was put in force.
# TYPE tpp_config_last_reload_success gauge
tpp_config_last_reload_success 1
# HELP tpp_log_lines_dropped_total Log lines dropped because nobody read them, or they could not be written.
# TYPE tpp_log_lines_dropped_total counter
tpp_log_lines_dropped_total 11
# HELP tpp_access_log_dropped_total Lines of the access log dropped, for the same reasons.
# TYPE tpp_access_log_dropped_total counter
tpp_access_log_dropped_total 15
# HELP tpp_upstream_addresses Addresses the upstream's name resolves to.
# TYPE tpp_upstream_addresses gauge
tpp_upstream_addresses 2
# HELP tpp_start_time_seconds When the supervisor began, Unix seconds.
# TYPE tpp_start_time_seconds gauge
tpp_start_time_seconds 1700000000
# HELP tpp_build_info Always 1; the label tells the version.
# TYPE tpp_build_info gauge
tpp_build_info{version=\"0.1.0\"} 1
# HELP tpp_spans_exported_total Spans that a collector took.
# TYPE tpp_spans_exported_total counter
tpp_spans_exported_total 21
# HELP tpp_spans_dropped_total Spans that were lost, by where: a worker had no room for them, or no collector took them in time.
# TYPE tpp_spans_dropped_total counter
tpp_spans_dropped_total{place=\"worker\"} 22
tpp_spans_dropped_total{place=\"supervisor\"} 23
# HELP tpp_otlp_exports_total Exports of spans or metrics, each try, by result.
# TYPE tpp_otlp_exports_total counter
tpp_otlp_exports_total{result=\"success\"} 24
tpp_otlp_exports_total{result=\"failure\"} 25
";

#[test]
fn the_text_names_every_number_in_one_order() {
    let text = rendered(&snapshot());
    for (got, expected) in text.lines().zip(EXPECTED.lines()) {
        assert_eq!(got, expected);
    }
    assert_eq!(text, EXPECTED);
}

/// Asserts what a scraper asks of the text: each family once, HELP then TYPE then its samples alone,
/// counters named `_total`, values that are numbers, buckets that never fall and end in the count.
#[track_caller]
fn valid(text: &str) {
    assert!(text.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, _) = help
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .expect(help);
        assert!(families.insert(name.to_owned()), "{name} twice");
        let kind = lines
            .next()
            .and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name))
            .expect(help);
        let kind = kind.trim_start();
        assert!(
            ["gauge", "counter", "histogram"].contains(&kind),
            "{name}: {kind}"
        );
        assert!(kind != "counter" || name.ends_with("_total"), "{name}");
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(sample(line));
        }
        assert!(!samples.is_empty(), "{name} has no sample");
        if kind == "histogram" {
            histogram_is_valid(name, &samples);
        } else {
            assert!(
                samples.iter().all(|(sample, ..)| sample == name),
                "{name}: {samples:?}"
            );
            let labels: BTreeSet<_> = samples.iter().map(|(_, labels, _)| labels).collect();
            assert_eq!(labels.len(), samples.len(), "{name} has a sample twice");
        }
    }
}

/// Name, labels with their quotes, value.
#[track_caller]
fn sample(line: &str) -> (String, String, f64) {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = series
        .split_once('{')
        .map_or((series, ""), |(name, labels)| {
            (name, labels.strip_suffix('}').expect(line))
        });
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
        "{line}"
    );
    (
        name.to_owned(),
        labels.to_owned(),
        value.parse().expect(line),
    )
}

#[track_caller]
fn histogram_is_valid(name: &str, samples: &[(String, String, f64)]) {
    let (buckets, rest) = samples.split_at(samples.len() - 2);
    assert!(
        buckets
            .iter()
            .all(|(sample, ..)| *sample == format!("{name}_bucket")),
        "{buckets:?}"
    );
    assert!(buckets.is_sorted_by(|a, b| a.2 <= b.2), "{buckets:?}");
    let last = buckets.last().expect("a bucket");
    assert_eq!(last.1, "le=\"+Inf\"");
    assert_eq!(rest[0].0, format!("{name}_sum"));
    assert_eq!((&rest[1].0, rest[1].2), (&format!("{name}_count"), last.2));
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
