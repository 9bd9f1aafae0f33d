//! Of what leaves by OTLP: what a collector took, and what was lost on the way.

use prometheus::proto::{MetricFamily, MetricType};

use super::{counter, counter_of, family, label};
use crate::outlook::snapshot::{Exports, Snapshot};

pub(super) fn exports(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let Exports {
        spans_exported,
        spans_dropped,
        spans_lost,
        taken,
        failed,
    } = snapshot.numbers.exports;
    let by = |name: &str, counts: [(&str, u64); 2]| {
        let samples = counts.map(|(value, count)| counter_of(count, vec![label(name, value)]));
        samples.into()
    };
    vec![
        counter(
            "tpp_spans_exported_total",
            "Spans that a collector took.",
            spans_exported,
        ),
        family(
            "tpp_spans_dropped_total",
            "Spans that were lost, by where: a worker had no room for them, or no collector took them in time.",
            MetricType::COUNTER,
            by(
                "place",
                [("worker", spans_dropped), ("supervisor", spans_lost)],
            ),
        ),
        family(
            "tpp_otlp_exports_total",
            "Exports of spans or metrics, each try, by result.",
            MetricType::COUNTER,
            by("result", [("success", taken), ("failure", failed)]),
        ),
    ]
}
