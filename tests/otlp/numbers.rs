//! Numbers: `/metrics`, the access log, spans, metrics by OTLP, clients and upstream say the same, also after workers were killed.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    metrics::v1::{Metric, metric::Data, number_data_point::Value},
    trace::v1::span::SpanKind as Role,
};

use super::{
    collector::Collector,
    common::{client::Client, processes, proxy::Proxy, upstream::Upstream, wait_until},
    scene::{Way, attribute, before, lines},
};

/// Each sample by its name and labels, in the words of `/metrics`; of a histogram its count.
fn samples(metrics: &[Metric]) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for metric in metrics {
        let points = match metric.data.as_ref().expect("data") {
            Data::Gauge(gauge) => &gauge.data_points,
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{}", metric.name);
                &sum.data_points
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let name = format!("{}_count", metric.name);
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    all.insert(series(&name, &point.attributes), point.count as f64);
                }
                continue;
            }
            other => panic!("{}: {other:?}", metric.name),
        };
        for point in points {
            let Some(Value::AsDouble(value)) = point.value else {
                panic!("{}: {point:?}", metric.name);
            };
            all.insert(series(&metric.name, &point.attributes), value);
        }
    }
    all
}

fn series(name: &str, attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> String {
    let label = |key: &str| {
        let value = attribute(attributes, key).expect("it is there");
        format!("{key}=\"{value}\"")
    };
    let labels: Vec<_> = attributes.iter().map(|one| label(&one.key)).collect();
    match labels.join(",") {
        labels if labels.is_empty() => name.to_owned(),
        labels => format!("{name}{{{labels}}}"),
    }
}

#[test]
fn metrics_by_otlp_are_those_of_the_scrape() {
    for way in [Way::Http, Way::Grpc] {
        let (upstream, collector) = (Upstream::start(), Collector::start());
        let proxy = Proxy::start(&before(&upstream, 2, &collector, way));
        for _ in 0..5 {
            proxy.client(&upstream).get("/who").ok();
        }
        proxy.wait_until_all_is_back(2);
        wait_until("both say the same", || {
            let exported = samples(&collector.metrics());
            let text = proxy.health("/metrics").ok().text();
            let scraped: BTreeMap<_, f64> = text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.rsplit_once(' '))
                .filter(|(series, _)| !series.contains("_bucket{") && !series.contains("_sum"))
                .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
                // What exporting itself moves on.
                .filter(|(series, _)| !series.starts_with("tpp_otlp_"))
                .collect();
            let ours = exported
                .into_iter()
                .filter(|(series, _)| !series.starts_with("tpp_otlp_"));
            ours.collect::<BTreeMap<_, _>>() == scraped && scraped["tpp_requests_total"] == 5.0
        });
        let unit = |name: &str| {
            let metrics = collector.metrics();
            metrics
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.unit.clone())
        };
        assert_eq!(unit("tpp_acquisition_wait_seconds").as_deref(), Some("s"));
    }
}

/// How many spans of a server have come, each counted once.
fn servers(collector: &Collector) -> usize {
    let spans = collector.spans();
    let servers = spans
        .iter()
        .filter(|span| span.kind == i32::from(Role::Server));
    let ids: BTreeSet<_> = servers.map(|span| &span.span_id).collect();
    ids.len()
}

#[test]
fn after_workers_were_killed_all_who_count_agree() {
    const ROUNDS: usize = 3;
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 25;
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let proxy = Proxy::start(&before(&upstream, CLIENTS, &collector, Way::Grpc));
    let directory = proxy.directory();
    for round in 1..=ROUNDS {
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client(&upstream)).collect();
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| (0..REQUESTS).for_each(|_| drop(client.get("/who").ok())));
            }
        });
        // A worker that is killed takes the lines of its last moment with it; its spans are in the region.
        wait_until("all lines are written", || {
            lines(directory).len() == round * CLIENTS * REQUESTS
        });
        for worker in proxy.ready_workers() {
            processes::send(worker.pid, Signal::SIGKILL);
        }
        // They end with their worker.
        clients
            .into_iter()
            .for_each(|mut client: Client| client.forsake());
        wait_until("others are there", || {
            let workers = proxy.ready_workers();
            workers.len() == 2
                && proxy.metric("tpp_worker_restarts_total") == Some(2.0 * round as f64)
        });
    }
    let all = ROUNDS * CLIENTS * REQUESTS;
    wait_until("a span for each request is there", || {
        servers(&collector) == all
    });
    assert_eq!(
        collector.spans().len(),
        2 * all,
        "a span and an attempt each"
    );
    wait_until("all say the same", || {
        let exported = samples(&collector.metrics());
        let scraped = proxy.metric("tpp_requests_total");
        let asked = upstream
            .seen()
            .iter()
            .filter(|seen| seen.target == "/who")
            .count();
        let numbers = [
            exported
                .get("tpp_requests_total")
                .copied()
                .unwrap_or_default(),
            scraped.unwrap_or_default(),
            lines(directory).len() as f64,
            asked as f64,
        ];
        numbers == [all as f64; 4]
    });
    for place in ["worker", "supervisor"] {
        let lost = format!("tpp_spans_dropped_total{{place=\"{place}\"}}");
        assert_eq!(proxy.metric(&lost), Some(0.0), "{lost}");
    }
}
