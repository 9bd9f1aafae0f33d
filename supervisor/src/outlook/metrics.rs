//! What is counted, as families of samples, and these as Prometheus text.
//!
//! A scrape writes a [`Snapshot`] down, always in the same order. A metric's name is a promise to dashboards:
//! `tpp_tokens_total` stays a gauge, though a linter takes its ending for a counter's.

mod checks;
mod connections;
mod exports;
mod front;
mod hosts;
pub mod openmetrics;
mod pools;
mod proxies;

use std::time::Duration;

use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use tpp::{
    control::WorkerStatus,
    shared::{Histogram as PoolHistogram, HistogramCounts, Totals, WaitEnd},
};

use super::snapshot::{Refreshes, Snapshot};

/// All that is counted in `snapshot`.
#[must_use]
pub fn families(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let mut families = pool(snapshot);
    families.extend(counts(snapshot));
    families.extend(front::certificates(snapshot));
    families.extend(logins(snapshot));
    families.extend(workers(snapshot));
    families.extend(checks::checks(snapshot));
    families.extend(proxies::proxies(snapshot));
    families.extend(pools::pools(snapshot));
    families.extend(supervisor(snapshot));
    families.extend(exports::exports(snapshot));
    families.extend(hosts::hosts(snapshot));
    // A family without a sample, such as the workers' before there is one, has no place in the text.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// `families` in the text format, version 0.0.4.
#[must_use]
pub fn text(families: &[MetricFamily]) -> String {
    TextEncoder::new()
        .encode_to_string(families)
        .expect("every family has a name and a sample, and a String takes all")
}

fn pool(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let pool = snapshot.numbers.pool;
    vec![
        gauge(
            "tpp_tokens_total",
            "Slots that hold a usable token.",
            pool.total,
        ),
        gauge(
            "tpp_tokens_in_use",
            "Usable tokens that are lent out.",
            pool.in_use,
        ),
        gauge(
            "tpp_tokens_available",
            "Usable tokens that are free.",
            pool.available,
        ),
        gauge(
            "tpp_requests_waiting",
            "Connections in line for a token.",
            pool.waiting,
        ),
        gauge(
            "tpp_tokens_configured",
            "Slots configured.",
            snapshot.details.configured_tokens,
        ),
        family(
            "tpp_longest_wait_seconds",
            "How long the one who waits longest has waited.",
            MetricType::GAUGE,
            vec![gauge_of(
                snapshot.numbers.longest_wait.as_secs_f64(),
                vec![],
            )],
        ),
    ]
}

fn counts(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let totals = &snapshot.numbers.totals;
    let counts = plain_counts(totals);
    let counts = counts.map(|(name, help, count)| counter(name, help, count));
    let others = [
        connections::cut(snapshot),
        connections::refused(totals),
        waits_ended(totals),
        front::handshakes(totals),
        histogram(
            "tpp_acquisition_wait_seconds",
            "Time from asking for a token to having it.",
            &totals.acquisition_wait,
        ),
        histogram(
            "tpp_connection_duration_seconds",
            "Life of a client connection.",
            &totals.connection_duration,
        ),
    ];
    counts.into_iter().chain(others).collect()
}

/// Those without labels: name, help and count.
fn plain_counts(totals: &Totals) -> [(&'static str, &'static str, u64); 10] {
    [
        (
            "tpp_token_acquisitions_total",
            "Tokens lent out.",
            totals.acquisitions,
        ),
        (
            "tpp_token_releases_total",
            "Tokens given back, by workers or for dead ones.",
            totals.releases,
        ),
        (
            "tpp_token_errors_total",
            "Requests whose token the upstream refused with 401.",
            totals.token_errors,
        ),
        (
            "tpp_requests_total",
            "Requests read from clients.",
            totals.requests,
        ),
        (
            "tpp_requests_errors_total",
            "Requests that tpp answered with an error of its own.",
            totals.request_errors,
        ),
        (
            "tpp_queue_timeouts_total",
            "Clients told that no token came free in time.",
            totals.queue_timeouts,
        ),
        (
            "tpp_queue_rejections_total",
            "Clients turned away because the line was full.",
            totals.queue_rejections,
        ),
        (
            "tpp_queue_abandoned_total",
            "Clients that left while they waited.",
            totals.clients_left,
        ),
        (
            "tpp_connections_opened_total",
            "Client connections accepted.",
            totals.connections_opened,
        ),
        (
            "tpp_connections_closed_total",
            "Client connections that ended.",
            totals.connections_closed,
        ),
    ]
}

fn waits_ended(totals: &Totals) -> MetricFamily {
    let samples = WaitEnd::ALL
        .iter()
        .zip(totals.waits_ended)
        .map(|(end, count)| counter_of(count, vec![label("reason", end.label())]));
    family(
        "tpp_waits_ended_total",
        "Waits that were ended because their bound was over, by who had kept them waiting.",
        MetricType::COUNTER,
        samples.collect(),
    )
}

fn logins(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let Refreshes {
        success,
        refused,
        trouble,
    } = snapshot.numbers.refreshes;
    let results = [
        ("success", success),
        ("refused", refused),
        ("trouble", trouble),
    ];
    let refreshes = results.map(|(result, count)| counter_of(count, vec![label("result", result)]));
    vec![
        family(
            "tpp_token_refreshes_total",
            "Token refreshes by result.",
            MetricType::COUNTER,
            refreshes.into(),
        ),
        counter(
            "tpp_login_failures_total",
            "Logins that failed.",
            refused + trouble,
        ),
        gauge(
            "tpp_accounts_refused",
            "Accounts whose logins the server refuses.",
            snapshot.details.refused_users.len() as u64,
        ),
    ]
}

fn workers(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let each = |name, help, value: fn(&WorkerStatus) -> u64| {
        let seat = |worker: &WorkerStatus| vec![label("worker", &worker.seat.to_string())];
        let samples = snapshot
            .details
            .workers
            .iter()
            .map(|worker| gauge_of(value(worker) as f64, seat(worker)));
        family(name, help, MetricType::GAUGE, samples.collect())
    };
    vec![
        counter(
            "tpp_worker_restarts_total",
            "Times a worker ended unplanned.",
            snapshot.numbers.worker_restarts,
        ),
        each("tpp_worker_ready", "Whether the worker serves.", |worker| {
            (worker.state == "ready").into()
        }),
        each(
            "tpp_worker_connections",
            "Open client connections of the worker.",
            |worker| worker.connections,
        ),
        each(
            "tpp_worker_waiting",
            "Connections in line for a token in the worker.",
            |worker| worker.waiting,
        ),
    ]
}

fn supervisor(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let build = gauge_of(
        1.0,
        vec![label("version", &snapshot.details.identity.version)],
    );
    vec![
        gauge(
            "tpp_config_generation",
            "Configurations put in force, the first included.",
            snapshot.details.config_generation,
        ),
        gauge(
            "tpp_config_last_reload_success",
            "Whether the last reload was put in force.",
            (!snapshot.details.last_reload_failed()).into(),
        ),
        counter(
            "tpp_log_lines_dropped_total",
            "Log lines dropped because nobody read them, or they could not be written.",
            snapshot.numbers.log_lines_dropped,
        ),
        counter(
            "tpp_access_log_dropped_total",
            "Lines of the access log dropped, for the same reasons.",
            snapshot.numbers.access_log_dropped,
        ),
        gauge(
            "tpp_upstream_addresses",
            "Addresses the upstream's name resolves to.",
            snapshot.details.upstream_addresses.len() as u64,
        ),
        gauge(
            "tpp_start_time_seconds",
            "When the supervisor began, Unix seconds.",
            snapshot.details.identity.started_at,
        ),
        family(
            "tpp_build_info",
            "Always 1; the label tells the version.",
            MetricType::GAUGE,
            vec![build],
        ),
    ]
}

fn family(name: &str, help: &str, kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    family(
        name,
        help,
        MetricType::GAUGE,
        vec![gauge_of(value as f64, vec![])],
    )
}

fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(
        name,
        help,
        MetricType::COUNTER,
        vec![counter_of(value, vec![])],
    )
}

fn histogram(name: &str, help: &str, counts: &HistogramCounts) -> MetricFamily {
    let buckets = PoolHistogram::BOUNDS.into_iter().zip(counts.buckets);
    let all = counts.buckets.iter().sum();
    let sample = histogram_of(buckets, all, counts.sum_micros, vec![]);
    family(name, help, MetricType::HISTOGRAM, vec![sample])
}

/// Of `buckets`, bounds with what was counted up to each, not cumulative; and of `all` that was counted, beyond the last bound
/// too: summed from the buckets, so that it never falls behind them, whatever is counted meanwhile.
fn histogram_of(
    buckets: impl Iterator<Item = (f64, u64)>,
    all: u64,
    sum_micros: u64,
    labels: Vec<LabelPair>,
) -> Metric {
    let mut seen = 0;
    let buckets = buckets.map(|(bound, count)| {
        seen += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(seen);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(all);
    histogram.set_sample_sum(Duration::from_micros(sum_micros).as_secs_f64());
    let mut sample = Metric::from_label(labels);
    sample.set_histogram(histogram);
    sample
}

fn gauge_of(value: f64, labels: Vec<LabelPair>) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut sample = Metric::from_gauge(gauge);
    sample.set_label(labels);
    sample
}

fn counter_of(value: u64, labels: Vec<LabelPair>) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut sample = Metric::from_label(labels);
    sample.set_counter(counter);
    sample
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests;
