//! Which backends each virtual host uses: each such pair has words of its own, a breaker and a histogram. Pure.

use std::collections::{BTreeSet, HashMap};

use tpp::{
    config::{Gateway, VirtualHost},
    lending::row_key,
    plan::PairPlan,
    region::RowGeometry,
};

/// More are not even counted up: hosts times backends may be millions.
const MOST: usize = RowGeometry::FULL.pairs;

/// A host and a backend of a tag that serves it, by their indexes.
pub(super) type Pair = (usize, usize);

/// The pairs of `gateway`. Those of hosts with a breaker come first, for there may be more than there is room for.
pub(super) fn pairs(gateway: &Gateway) -> Vec<Pair> {
    let mut tagged: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, backend) in gateway.backends.iter().enumerate() {
        for tag in &backend.tags {
            tagged.entry(tag).or_default().push(index);
        }
    }
    let hosts = || gateway.virtual_hosts.iter().enumerate();
    let (first, others) = (
        hosts().filter(|(_, host)| host.circuit_breaker.enabled),
        hosts().filter(|(_, host)| !host.circuit_breaker.enabled),
    );
    let of_host = |(index, host): (usize, &VirtualHost)| {
        let backends = tags_of(host).filter_map(|tag| tagged.get(tag));
        let backends: BTreeSet<_> = backends.flatten().copied().collect();
        backends.into_iter().map(move |backend| (index, backend))
    };
    first.chain(others).flat_map(of_host).take(MOST).collect()
}

/// The tags that have a part of a host's clients.
fn tags_of(host: &VirtualHost) -> impl Iterator<Item = &str> {
    let parts = host.split.iter().filter(|(_, percent)| **percent > 0);
    std::iter::once(host.enabled_backends_tag.as_str()).chain(parts.map(|(tag, _)| tag.as_str()))
}

/// By which the words of each of [`pairs`] are found.
pub(super) fn pair_keys(gateway: &Gateway) -> Vec<u64> {
    let key = |(host, backend): Pair| {
        let (host, backend) = (&gateway.virtual_hosts[host], &gateway.backends[backend]);
        row_key(&["pair", &host.domain, &backend.id])
    };
    pairs(gateway).into_iter().map(key).collect()
}

/// Each host's, in the order of their backends, of `rows` in the order of [`pairs`].
pub(super) fn pairs_of_hosts(
    gateway: &Gateway,
    rows: &[Option<usize>],
) -> HashMap<usize, Vec<PairPlan>> {
    let mut by_host: HashMap<usize, Vec<_>> = HashMap::new();
    for ((host, backend), row) in pairs(gateway).into_iter().zip(rows) {
        let plan = row.map(|row| PairPlan { backend, row });
        by_host.entry(host).or_default().extend(plan);
    }
    by_host
}
