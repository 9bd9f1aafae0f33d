//! The front door: handshakes, and certificates that end.

use prometheus::proto::{MetricFamily, MetricType};
use tpp::shared::Totals;

use super::{counter_of, family, gauge_of, label};
use crate::outlook::snapshot::Snapshot;

pub(super) fn handshakes(totals: &Totals) -> MetricFamily {
    let samples = [
        ("full", totals.handshakes_full),
        ("resumed", totals.handshakes_resumed),
        ("failed", totals.handshakes_failed),
    ]
    .map(|(result, count)| counter_of(count, vec![label("result", result)]));
    family(
        "tpp_tls_handshakes_total",
        "TLS handshakes with clients, by what came of them.",
        MetricType::COUNTER,
        samples.into(),
    )
}

pub(super) fn certificates(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let certificates = snapshot.details.certificates.iter();
    let samples: Vec<_> = certificates
        .map(|one| gauge_of(one.not_after as f64, vec![label("certificate", &one.name)]))
        .collect();
    if samples.is_empty() {
        return Vec::new();
    }
    vec![family(
        "tpp_certificate_not_after_seconds",
        "When a certificate ends, Unix time.",
        MetricType::GAUGE,
        samples,
    )]
}
