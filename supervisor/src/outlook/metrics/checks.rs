//! Of health checks: whether each backend is up, and what its checks came to.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{counter_of, family, gauge_of, label};
use crate::{
    health::{Health, Seen},
    outlook::snapshot::Snapshot,
};

pub(super) fn checks(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let seen = &snapshot.details.checks;
    let up = |(id, one): (&String, &Seen)| {
        let is_up = one.health == Health::Up;
        gauge_of(u8::from(is_up).into(), vec![label("backend", id)])
    };
    let results = |(id, one): (&String, &Seen)| -> [Metric; 2] {
        [("failure", one.failed), ("success", one.passed)].map(|(result, count)| {
            let labels = vec![label("backend", id), label("result", result)];
            counter_of(count, labels)
        })
    };
    vec![
        family(
            "tpp_health_check_up",
            "Whether health checks find the backend able to serve.",
            MetricType::GAUGE,
            seen.iter().map(up).collect(),
        ),
        family(
            "tpp_health_check_total",
            "Health checks by result.",
            MetricType::COUNTER,
            seen.iter().flat_map(results).collect(),
        ),
    ]
}
