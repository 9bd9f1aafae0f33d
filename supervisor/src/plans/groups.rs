//! The tags of each virtual host that have a row of shared words: whose turn it is there is counted over all workers. Pure.

use std::collections::{BTreeSet, HashMap};

use tpp::{
    config::{Balance, Gateway, VirtualHost},
    lending::row_key,
    plan::GroupPlan,
};

/// The tags of `host` whose backends are dealt out in turn, each once; none where there is nothing to deal out.
fn tags_of<'h>(host: &'h VirtualHost, sizes: &HashMap<&str, usize>) -> Vec<&'h str> {
    if !matches!(
        host.balance,
        Balance::RoundRobin | Balance::LeastConnections
    ) {
        return Vec::new();
    }
    let split = host.split.iter().filter(|(_, percent)| **percent > 0);
    let tags: BTreeSet<_> = split
        .map(|(tag, _)| tag.as_str())
        .chain([host.enabled_backends_tag.as_str()])
        .collect();
    let has_turns = |tag: &&str| sizes.get(tag).is_some_and(|size| *size > 1);
    tags.into_iter().filter(has_turns).collect()
}

/// How many backends each tag has.
fn sizes(gateway: &Gateway) -> HashMap<&str, usize> {
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    let tags = gateway.backends.iter().flat_map(|one| &one.tags);
    tags.for_each(|tag| *sizes.entry(tag).or_default() += 1);
    sizes
}

/// By which their rows are found.
pub(super) fn group_keys(gateway: &Gateway) -> Vec<u64> {
    let sizes = sizes(gateway);
    let hosts = gateway.virtual_hosts.iter();
    let keys = hosts.flat_map(|host| {
        let tags = tags_of(host, &sizes).into_iter();
        tags.map(|tag| row_key(&["group", &host.domain, tag]))
    });
    keys.collect()
}

/// Each host's, of `rows` in the order of [`group_keys`].
pub(super) fn by_host(gateway: &Gateway, rows: &[usize]) -> Vec<Vec<GroupPlan>> {
    let (mut rows, sizes) = (rows.iter(), sizes(gateway));
    let hosts = gateway.virtual_hosts.iter();
    let of_host = hosts.map(|host| {
        let tags = tags_of(host, &sizes).into_iter();
        let groups = tags.zip(rows.by_ref()).map(|(tag, row)| GroupPlan {
            tag: tag.to_owned(),
            row: *row,
        });
        groups.collect()
    });
    of_host.collect()
}
