//! Of health: whether each backend is up, what its checks came to, and whether it is left out for what requests met there.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{counter_of, family, gauge_of, label};
use crate::{
    health::{Health, Met, Seen},
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
    let met = &snapshot.details.met;
    let ejected = |(id, one): (&String, &Met)| {
        gauge_of(
            u8::from(one.out.is_some()).into(),
            vec![label("backend", id)],
        )
    };
    let ejections =
        |(id, one): (&String, &Met)| counter_of(one.ejections, vec![label("backend", id)]);
    vec![
        family(
            "tpp_backend_ejected",
            "Whether a backend is left out since it failed requests.",
            MetricType::GAUGE,
            met.iter().map(ejected).collect(),
        ),
        family(
            "tpp_backend_ejections_total",
            "How often a backend was left out since it failed requests.",
            MetricType::COUNTER,
            met.iter().map(ejections).collect(),
        ),
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
