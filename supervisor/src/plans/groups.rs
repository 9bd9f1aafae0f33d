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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tpp::config::{Format, parse};

    use super::*;

    fn gateway(hosts: &str) -> Gateway {
        let mut text = String::new();
        for (id, tag) in [
            ("a", "red"),
            ("b", "red"),
            ("c", "blue"),
            ("d", "blue"),
            ("e", "lone"),
        ] {
            text += &format!("[[backends]]\nid = '{id}'\naddress = '{id}:1'\ntags = ['{tag}']\n");
        }
        text += hosts;
        let vars = std::collections::BTreeMap::<String, String>::new();
        let read = parse(
            &text,
            Path::new("tpp.toml"),
            Format::Toml,
            Path::new("/"),
            &vars,
        );
        read.expect("a sound file").gateway
    }

    #[test]
    fn a_tag_has_a_row_where_there_is_something_to_deal_out() {
        let host = |domain: &str, tag: &str, further: &str| {
            format!(
                "[[virtual_hosts]]\ndomain = '{domain}'\nenabled_backends_tag = '{tag}'\n{further}\n"
            )
        };
        let hosts = [
            host("split.test", "red", "split = { red = 0, blue = 100 }"),
            host("hash.test", "red", "balance = 'hash:address'"),
            host("lone.test", "lone", ""),
            host("fewest.test", "blue", "balance = 'least_connections'"),
        ];
        let gateway = gateway(&hosts.concat());
        let keys = group_keys(&gateway);
        assert_eq!(
            keys,
            [
                ("split.test", "blue"),
                ("split.test", "red"),
                ("fewest.test", "blue")
            ]
            .map(|(domain, tag)| row_key(&["group", domain, tag]))
        );
        let rows = by_host(&gateway, &[7, 8, 9]);
        let told: Vec<Vec<_>> = rows
            .iter()
            .map(|groups| {
                groups
                    .iter()
                    .map(|one| (one.tag.as_str(), one.row))
                    .collect()
            })
            .collect();
        let expected: [&[(&str, usize)]; 4] =
            [&[("blue", 7), ("red", 8)], &[], &[], &[("blue", 9)]];
        assert_eq!(told, expected);
    }
}
