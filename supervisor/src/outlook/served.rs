//! Tags in use of which no backend takes new clients, and why.

use std::collections::{BTreeMap, BTreeSet};

use tpp::plan::{BackendPlan, HostPlan, Plan};

/// Tags that are told of; more are counted.
const NAMED: usize = 5;

/// A line for each tag that serves clients of a host of `plan` by none of those that are `serving`.
pub(super) fn unserved(plan: &Plan, serving: &BTreeSet<String>) -> Vec<String> {
    let mut tagged: BTreeMap<&str, Vec<&BackendPlan>> = BTreeMap::new();
    for backend in &plan.backends {
        for tag in &backend.tags {
            tagged.entry(tag).or_default().push(backend);
        }
    }
    let in_use: BTreeSet<_> = plan.hosts.iter().flat_map(tags_of).collect();
    let lines = in_use.into_iter().filter_map(|tag| {
        let backends = tagged.get(tag).map_or(&[][..], Vec::as_slice);
        let is_served = backends.iter().any(|one| serving.contains(&one.id));
        (!is_served).then(|| why(tag, backends))
    });
    let mut lines: Vec<_> = lines.collect();
    if lines.len() > NAMED {
        let more = lines.split_off(NAMED).len();
        lines.push(format!(
            "{more} more tags have no backend that takes requests"
        ));
    }
    lines
}

/// The tags that have a part of a host's clients.
fn tags_of(host: &HostPlan) -> impl Iterator<Item = &str> {
    let host = &host.host;
    let parts = host.split.iter().filter(|(_, percent)| **percent > 0);
    std::iter::once(host.enabled_backends_tag.as_str()).chain(parts.map(|(tag, _)| tag.as_str()))
}

fn why(tag: &str, backends: &[&BackendPlan]) -> String {
    if backends.is_empty() {
        format!("no backend has the tag {tag:?}")
    } else if backends.iter().all(|one| !one.is_healthy) {
        format!("all backends with the tag {tag:?} are down")
    } else {
        format!("no backend with the tag {tag:?} takes requests")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tpp::{
        config::{BackendState, Format, VirtualHost, parse},
        lending::WorkerSettings,
    };

    use super::*;

    /// Backends `one` with tag `a` and `two` with tag `b`, and a host that `a` serves.
    fn plan() -> Plan {
        let text =
            "[upstream]\nhost = \"h\"\n[[credentials]]\nusername = \"u\"\npassword = \"p\"\n";
        let none = BTreeMap::<String, String>::new();
        let (path, directory) = (Path::new("tpp.toml"), Path::new("/"));
        let config = parse(text, path, Format::Toml, directory, &none).unwrap();
        let mut plan = Plan::plain(1, WorkerSettings::of(&config, 1), Vec::new());
        let backends = [("one", "a"), ("two", "b")].map(|(id, tag)| BackendPlan {
            id: id.to_owned(),
            tags: vec![tag.to_owned()],
            ..plan.backends[0].clone()
        });
        plan.backends = backends.into();
        plan.hosts[0].host = VirtualHost::of("default", "a");
        plan
    }

    fn told(plan: &Plan) -> Vec<String> {
        let serving = plan.backends.iter().filter(|one| one.takes_new());
        unserved(plan, &serving.map(|one| one.id.clone()).collect())
    }

    #[test]
    fn a_tag_in_use_without_a_backend_that_serves_is_told_of_with_the_reason() {
        let mut plan = plan();
        assert_eq!(told(&plan), [""; 0]);
        // Nobody asks for that one.
        plan.backends[1].is_healthy = false;
        assert_eq!(told(&plan), [""; 0]);
        plan.backends[0].is_healthy = false;
        assert_eq!(told(&plan), ["all backends with the tag \"a\" are down"]);
        plan.hosts[0].host.split = [("b".to_owned(), 10)].into();
        assert_eq!(told(&plan).len(), 2);
        plan.hosts[0].host.split.clear();
        plan.backends[0].is_healthy = true;
        plan.backends[0].state = BackendState::Drain;
        assert_eq!(
            told(&plan),
            ["no backend with the tag \"a\" takes requests"]
        );
        plan.backends.clear();
        assert_eq!(told(&plan), ["no backend has the tag \"a\""]);
    }

    #[test]
    fn of_many_tags_some_are_named_and_the_others_counted() {
        let mut plan = plan();
        let host = plan.hosts[0].clone();
        plan.hosts = (0..8)
            .map(|number| {
                let domain = format!("h{number}.test");
                let tag = format!("t{number}");
                let mut host = host.clone();
                host.host = VirtualHost::of(&domain, &tag);
                host
            })
            .collect();
        let told = told(&plan);
        assert_eq!(told.len(), 6);
        assert_eq!(told[5], "3 more tags have no backend that takes requests");
    }
}
