//! Of virtual hosts: how their requests were answered, how long they took, why they failed or were refused.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use tpp::{
    control::BreakerWord,
    shared::{Failing, HostTotals, Latency, LatencyCounts, Rejection, code_label},
};

use super::{counter_of, family, gauge_of, histogram_of, label};
use crate::outlook::snapshot::Snapshot;

pub(super) fn proxies(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let mut families = answers(snapshot);
    families.extend(state(snapshot));
    families.extend(failures(snapshot));
    families
}

/// The samples of each host, one after the other.
fn each(snapshot: &Snapshot, samples: impl Fn(&str, &HostTotals) -> Vec<Metric>) -> Vec<Metric> {
    let hosts = snapshot.details.hosts.iter();
    hosts
        .flat_map(|(domain, totals)| samples(domain, totals))
        .collect()
}

fn answers(snapshot: &Snapshot) -> Vec<MetricFamily> {
    vec![
        family(
            "tpp_proxy_requests_total",
            "Requests of a virtual host by the status of their answers; 499: the client left.",
            MetricType::COUNTER,
            each(snapshot, |domain, totals| {
                let codes = totals.codes.iter().enumerate();
                codes
                    .filter(|(_, count)| **count > 0)
                    .map(|(at, count)| {
                        let labels = vec![label("proxy", domain), label("code", &code_label(at))];
                        counter_of(*count, labels)
                    })
                    .collect()
            }),
        ),
        family(
            "tpp_proxy_request_duration_seconds",
            "From a request's head to the end of its answer.",
            MetricType::HISTOGRAM,
            each(snapshot, |domain, totals| vec![durations(domain, totals)]),
        ),
        family(
            "tpp_proxy_upstream_duration_seconds",
            "From a request's first byte to a backend to the head of its answer.",
            MetricType::HISTOGRAM,
            snapshot.details.pairs.iter().map(upstream).collect(),
        ),
    ]
}

fn state(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let gauge = |of: fn(&HostTotals) -> u64| {
        each(snapshot, |domain, totals| {
            let labels = vec![label("proxy", domain)];
            vec![gauge_of(of(totals) as f64, labels)]
        })
    };
    vec![
        family(
            "tpp_proxy_active_connections",
            "Client connections whose last request was for the host.",
            MetricType::GAUGE,
            gauge(|totals| totals.connections),
        ),
        family(
            "tpp_circuit_breaker_state",
            "0 closed, 1 open, 2 half open; the host's own has an empty backend.",
            MetricType::GAUGE,
            snapshot.details.breakers.iter().map(breaker).collect(),
        ),
        family(
            "tpp_proxy_in_flight",
            "Requests under way, but for those in a line.",
            MetricType::GAUGE,
            gauge(|totals| totals.in_flight),
        ),
        family(
            "tpp_proxy_waiting",
            "Requests in a line, for a token or for leave (max_concurrent).",
            MetricType::GAUGE,
            gauge(|totals| totals.waiting),
        ),
    ]
}

fn failures(snapshot: &Snapshot) -> Vec<MetricFamily> {
    vec![
        family(
            "tpp_proxy_errors_total",
            "Requests that failed, by reason.",
            MetricType::COUNTER,
            each(snapshot, |domain, totals| {
                let labels = Failing::ALL.map(Failing::label);
                by_cause(domain, "reason", labels.iter().zip(totals.failures))
            }),
        ),
        family(
            "tpp_limit_rejections_total",
            "Requests that a limit refused, by its kind.",
            MetricType::COUNTER,
            each(snapshot, |domain, totals| {
                let labels = Rejection::ALL.map(Rejection::label);
                by_cause(domain, "kind", labels.iter().zip(totals.rejections))
            }),
        ),
    ]
}

fn by_cause<'a>(
    domain: &str,
    name: &str,
    counts: impl Iterator<Item = (&'a &'static str, u64)>,
) -> Vec<Metric> {
    let sample = |(cause, count): (&&str, u64)| {
        counter_of(count, vec![label("proxy", domain), label(name, cause)])
    };
    counts.map(sample).collect()
}

fn durations(domain: &str, totals: &HostTotals) -> Metric {
    latency(&totals.duration, vec![label("proxy", domain)])
}

fn upstream((domain, backend, counts): &(String, String, LatencyCounts)) -> Metric {
    let labels = vec![label("proxy", domain), label("backend", backend)];
    latency(counts, labels)
}

fn breaker((domain, backend, state): &(String, String, BreakerWord)) -> Metric {
    let value = match state {
        BreakerWord::Closed => 0.0,
        BreakerWord::Open => 1.0,
        BreakerWord::HalfOpen => 2.0,
    };
    gauge_of(
        value,
        vec![label("proxy", domain), label("backend", backend)],
    )
}

fn latency(counts: &LatencyCounts, labels: Vec<LabelPair>) -> Metric {
    let buckets = Latency::BOUNDS.into_iter().zip(counts.buckets);
    let all = counts.buckets.iter().sum();
    histogram_of(buckets, all, counts.sum_micros, labels)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::outlook::{
        metrics::{families, text},
        snapshot::{Details, Snapshot},
    };

    use super::*;

    #[test]
    fn each_host_has_its_own_numbers_and_a_status_only_once_it_was_answered() {
        let mut totals = HostTotals {
            in_flight: 2,
            waiting: 5,
            ..HostTotals::default()
        };
        let ok = (0..totals.codes.len())
            .find(|at| code_label(*at) == "200")
            .unwrap();
        totals.codes[ok] = 7;
        totals.duration.buckets[3] = 7;
        totals.duration.sum_micros = 5_000;
        totals.rejections[Rejection::Rate as usize] = 3;
        totals.connections = 4;
        let mut took = LatencyCounts::default();
        took.buckets[5] = 6;
        let names = |backend: &str| ("a.example".to_owned(), backend.to_owned());
        let ((proxy, one), (_, none)) = (names("one"), names(""));
        let details = Details {
            hosts: [
                ("a.example".to_owned(), totals),
                ("b.example".to_owned(), HostTotals::default()),
            ]
            .into(),
            pairs: vec![(proxy.clone(), one.clone(), took)],
            breakers: vec![
                (proxy.clone(), none, BreakerWord::HalfOpen),
                (proxy, one, BreakerWord::Open),
            ],
            ..Details::default()
        };
        let text = text(&families(&Snapshot {
            details: Arc::new(details),
            ..Snapshot::default()
        }));
        for line in [
            "tpp_proxy_requests_total{proxy=\"a.example\",code=\"200\"} 7",
            "tpp_proxy_request_duration_seconds_bucket{proxy=\"a.example\",le=\"0.001\"} 7",
            "tpp_proxy_request_duration_seconds_bucket{proxy=\"a.example\",le=\"0.0005\"} 0",
            "tpp_proxy_request_duration_seconds_sum{proxy=\"a.example\"} 0.005",
            "tpp_proxy_request_duration_seconds_count{proxy=\"b.example\"} 0",
            "tpp_proxy_in_flight{proxy=\"a.example\"} 2",
            "tpp_proxy_waiting{proxy=\"a.example\"} 5",
            "tpp_limit_rejections_total{proxy=\"a.example\",kind=\"rate\"} 3",
            "tpp_proxy_errors_total{proxy=\"b.example\",reason=\"connect\"} 0",
            "tpp_proxy_active_connections{proxy=\"a.example\"} 4",
            "tpp_proxy_upstream_duration_seconds_bucket{proxy=\"a.example\",backend=\"one\",le=\"0.005\"} 6",
            "tpp_proxy_upstream_duration_seconds_count{proxy=\"a.example\",backend=\"one\"} 6",
            "tpp_circuit_breaker_state{proxy=\"a.example\",backend=\"\"} 2",
            "tpp_circuit_breaker_state{proxy=\"a.example\",backend=\"one\"} 1",
        ] {
            assert!(
                text.lines().any(|one| one == line),
                "{line} is missing in\n{text}"
            );
        }
        assert!(!text.contains("tpp_proxy_requests_total{proxy=\"b.example\""));
    }
}
