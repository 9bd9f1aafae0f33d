//! What `/metrics` serves, as OTLP has metrics: the same families, names and numbers.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
};
use prometheus::proto::{self, MetricFamily, MetricType};
use prost::Message;

use super::words::{Resource, scope, text};

const NANOS: u64 = 1_000_000_000;

/// The moments of an export, nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    began: u64,
    now: u64,
}

/// `families` as one export; `began`: when the supervisor did, Unix seconds.
pub(super) fn message(families: &[MetricFamily], began: u64, resource: Resource) -> Vec<u8> {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default();
    let times = Times {
        began: began.saturating_mul(NANOS),
        now: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
    };
    let scope_metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: families
            .iter()
            .map(|family| metric(family, times))
            .collect(),
        ..ScopeMetrics::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec()
}

fn metric(family: &MetricFamily, times: Times) -> Metric {
    let samples = family.get_metric().iter();
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: samples
                .map(|one| point(one, one.get_counter().get_value(), times))
                .collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: samples.map(|one| histogram(one, times)).collect(),
            aggregation_temporality: cumulative,
        }),
        _ => Data::Gauge(Gauge {
            data_points: samples
                .map(|one| point(one, one.get_gauge().get_value(), times))
                .collect(),
        }),
    };
    let name = family.name();
    Metric {
        name: name.to_owned(),
        description: family.help().to_owned(),
        unit: if name.ends_with("_seconds") { "s" } else { "" }.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(sample: &proto::Metric) -> Vec<KeyValue> {
    let labels = sample.get_label().iter();
    labels
        .map(|label| text(label.name(), label.value()))
        .collect()
}

fn point(sample: &proto::Metric, value: f64, times: Times) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Its buckets, which are cumulative there, each by itself; and what lies beyond the last bound.
fn histogram(sample: &proto::Metric, times: Times) -> HistogramDataPoint {
    let counted = sample.get_histogram();
    let (mut before, mut bounds, mut counts) = (0, Vec::new(), Vec::new());
    for bucket in counted.get_bucket() {
        let all = bucket.cumulative_count();
        bounds.push(bucket.upper_bound());
        counts.push(all.saturating_sub(before));
        before = all;
    }
    let count = counted.get_sample_count();
    counts.push(count.saturating_sub(before));
    HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        count,
        sum: Some(counted.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    }
}
