//! Of connections that were ended, or not let in.

use prometheus::proto::{MetricFamily, MetricType};
use tpp::shared::Totals;

use super::{counter_of, family, label};
use crate::outlook::snapshot::Snapshot;

/// Those that were closed in the middle of something.
pub(super) fn cut(snapshot: &Snapshot) -> MetricFamily {
    let hosts = snapshot.numbers.pools.iter().map(|pool| pool.cut).sum();
    let samples = [
        ("drain", snapshot.numbers.totals.drain_cut),
        ("hosts", hosts),
    ]
    .map(|(reason, count)| counter_of(count, vec![label("reason", reason)]));
    family(
        "tpp_connections_cut_total",
        "Client connections closed in the middle of something: the time to drain was over, or that of a session shared with other hosts.",
        MetricType::COUNTER,
        samples.into(),
    )
}

/// Those that were not let in.
pub(super) fn refused(totals: &Totals) -> MetricFamily {
    let samples = [
        ("max_connections", totals.refused_total),
        ("per_address", totals.refused_address),
        ("descriptors", totals.refused_descriptors),
        ("proxy_header", totals.refused_proxy_header),
    ]
    .map(|(reason, count)| counter_of(count, vec![label("reason", reason)]));
    family(
        "tpp_connections_refused_total",
        "Client connections refused, by the bound that was reached or what was wrong.",
        MetricType::COUNTER,
        samples.into(),
    )
}
