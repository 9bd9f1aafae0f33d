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
    // One that is still to come has no end.
    let samples: Vec<_> = certificates
        .filter(|one| one.renewal.is_none() || one.not_after > 0)
        .map(|one| gauge_of(one.not_after as f64, vec![label("certificate", &one.name)]))
        .collect();
    vec![
        family(
            "tpp_certificate_not_after_seconds",
            "When a certificate ends, Unix time.",
            MetricType::GAUGE,
            samples,
        ),
        failing(snapshot),
        orders(snapshot),
    ]
}

/// Of each host whose certificate tpp gets by itself.
fn failing(snapshot: &Snapshot) -> MetricFamily {
    let certificates = snapshot.details.certificates.iter();
    let renewals = certificates.filter_map(|one| Some((&one.name, one.renewal.as_ref()?)));
    let samples = renewals.map(|(name, renewal)| {
        gauge_of(
            u8::from(renewal.error.is_some()).into(),
            vec![label("certificate", name)],
        )
    });
    family(
        "tpp_acme_failing",
        "Whether the last try to get or renew a certificate was in vain.",
        MetricType::GAUGE,
        samples.collect(),
    )
}

fn orders(snapshot: &Snapshot) -> MetricFamily {
    let samples = snapshot.details.orders.iter().flat_map(|orders| {
        [
            ("issued", orders.issued),
            ("refused", orders.refused),
            ("limited", orders.limited),
            ("unreachable", orders.unreachable),
        ]
        .map(|(result, count)| counter_of(count, vec![label("result", result)]))
    });
    family(
        "tpp_acme_orders_total",
        "Certificates ordered, by what came of it.",
        MetricType::COUNTER,
        samples.collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tpp::control::{CertificateStatus, Renewal};

    use crate::{
        acme::Orders,
        outlook::{
            metrics::{families, text},
            snapshot::{Details, examples},
        },
    };

    /// One that tpp gets by itself.
    fn own(host: &str, not_after: i64, error: Option<&str>) -> CertificateStatus {
        CertificateStatus {
            name: format!("acme:{host}"),
            hosts: vec![host.to_owned()],
            issuer: String::new(),
            source: String::new(),
            not_after,
            error: None,
            renewal: Some(Renewal {
                state: "waiting".to_owned(),
                next_at: 0,
                failures: 0,
                error: error.map(str::to_owned),
            }),
        }
    }

    #[test]
    fn certificates_that_tpp_gets_by_itself_are_told_of_and_one_to_come_ends_never() {
        let mut snapshot = examples::snapshot(0, 1);
        snapshot.details = Arc::new(Details {
            certificates: vec![
                own("a.test", 1_800_000_000, None),
                own("b.test", 0, Some("no")),
            ],
            orders: Some(Orders {
                issued: 1,
                refused: 2,
                limited: 3,
                unreachable: 4,
            }),
            ..Details::default()
        });
        let text = text(&families(&snapshot));
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("tpp_acme") || line.starts_with("tpp_certificate"))
            .collect();
        assert_eq!(
            lines,
            [
                "tpp_certificate_not_after_seconds{certificate=\"acme:a.test\"} 1800000000",
                "tpp_acme_failing{certificate=\"acme:a.test\"} 0",
                "tpp_acme_failing{certificate=\"acme:b.test\"} 1",
                "tpp_acme_orders_total{result=\"issued\"} 1",
                "tpp_acme_orders_total{result=\"refused\"} 2",
                "tpp_acme_orders_total{result=\"limited\"} 3",
                "tpp_acme_orders_total{result=\"unreachable\"} 4",
            ]
        );
    }
}
