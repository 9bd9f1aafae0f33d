//! What entries say of each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Gateway;
use crate::config::section::{
    Section,
    access::Access,
    backend::{self, Backend},
    pool::Pool,
    proxy::Proxy,
    rate_limit::RateLimit,
    token::TokenScope,
    virtual_host::VirtualHost,
};
use crate::config::text::spelled::Spelled as _;

/// Something that two entries together have wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which rule it breaks.
    pub rule: Rule,
    /// Name of the list, such as `virtual_hosts`.
    pub list: &'static str,
    /// Which entry of it, counted from 0.
    pub index: usize,
    /// The entry's key that is at fault.
    pub key: &'static str,
    /// What was found, as a noun phrase.
    pub found: String,
    /// What may stand there, as a noun phrase.
    pub allowed: String,
}

/// What must hold between entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Ids, names and domains are unique within their list.
    Twice,
    /// Some backend has each tag that a host names.
    UnknownTag,
    /// Each pool that a backend names is there.
    UnknownPool,
    /// Each rate limit and access list that a host names is there.
    UnknownPolicy,
    /// All backends of a tag have one pool.
    MixedPools,
    /// All backends of a pool whose tokens are bound to them have the same tags.
    UnevenTags,
    /// None of several backends to which tokens are bound is behind a proxy, where they would have one address.
    OneAddress,
    /// A host that sends its clients to TLS, or names a certificate, has it.
    NoCertificate,
    /// The same, as long as no listener has TLS and nobody is sent anywhere. It is wrong in a file, where a listener can be added with it.
    NotYet,
    /// Nothing else listens at a listener's address, and what it is to do can be done.
    Listener,
}

impl Conflict {
    /// As a file's message names it: `virtual_hosts[1].access`.
    #[must_use]
    pub fn field(&self) -> String {
        format!("{}[{}].{}", self.list, self.index, self.key)
    }
}

impl Gateway {
    /// All that entries have wrong with each other. Certificates are no part of it.
    #[must_use]
    pub fn check(&self) -> Vec<Conflict> {
        let mut found = self.twice();
        found.extend(self.pools_of_backends());
        found.extend(self.pools_of_tags());
        found.extend(self.tags_of_pools());
        found.extend(self.proxies_of_pools());
        found.extend(self.tags_of_hosts());
        found.extend(self.policies_of_hosts());
        found
    }

    fn twice(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        let mut look = |list, key, names: Vec<&String>| {
            let mut first = HashMap::new();
            for (index, name) in names.into_iter().enumerate() {
                if let Some(before) = first.get(name) {
                    found.push(Conflict {
                        rule: Rule::Twice,
                        list,
                        index,
                        key,
                        found: format!("\"{name}\" again (first in {list}[{before}])"),
                        allowed: format!("each {key} once"),
                    });
                } else {
                    first.insert(name, index);
                }
            }
        };
        look(
            Pool::NAME,
            "name",
            self.pools.iter().map(|one| &one.name).collect(),
        );
        look(
            Backend::NAME,
            "id",
            self.backends.iter().map(|one| &one.id).collect(),
        );
        let domains = self.virtual_hosts.iter().map(|one| &one.domain);
        look(VirtualHost::NAME, "domain", domains.collect());
        let limits = self.rate_limits.iter().map(|one| &one.name);
        look(RateLimit::NAME, "name", limits.collect());
        look(
            Access::NAME,
            "name",
            self.access.iter().map(|one| &one.name).collect(),
        );
        found
    }

    fn pools_of_backends(&self) -> impl Iterator<Item = Conflict> {
        let backends = self.backends.iter().enumerate();
        let named = backends.filter_map(|(index, one)| Some((index, one.pool.as_deref()?)));
        let unknown = named.filter(|(_, name)| !self.pools.iter().any(|pool| pool.name == *name));
        unknown.map(|(index, name)| Conflict {
            rule: Rule::UnknownPool,
            list: Backend::NAME,
            index,
            key: "pool",
            found: match name {
                backend::UNCLEAR_POOL => "nothing, and several pools".to_owned(),
                name => format!("\"{name}\", which is no pool"),
            },
            allowed: one_of(
                self.pools
                    .iter()
                    .map(|pool| &*pool.name)
                    .chain([backend::NO_POOL]),
            ),
        })
    }

    /// Which pool serves a tag is clear before a backend is chosen.
    fn pools_of_tags(&self) -> Vec<Conflict> {
        let mut first: BTreeMap<&str, &Backend> = BTreeMap::new();
        let mut found = Vec::new();
        for (index, backend) in self.backends.iter().enumerate() {
            for tag in &backend.tags {
                let before = *first.entry(tag).or_insert(backend);
                if before.pool == backend.pool {
                    continue;
                }
                let name = |one: &Backend| one.pool.clone().unwrap_or(backend::NO_POOL.to_owned());
                found.push(Conflict {
                    rule: Rule::MixedPools,
                    list: Backend::NAME,
                    index,
                    key: "pool",
                    found: format!(
                        "\"{}\", while backend \"{}\" of the same tag \"{tag}\" has \"{}\"",
                        name(backend),
                        before.id,
                        name(before),
                    ),
                    allowed: "one pool for all backends of a tag".to_owned(),
                });
            }
        }
        found
    }

    /// Where a token was drawn is known by an address, which backends behind a proxy have in common.
    fn proxies_of_pools(&self) -> Vec<Conflict> {
        let bound = self.pools.iter();
        let bound = bound.filter(|pool| pool.token.scope == TokenScope::Backend);
        let mut found = Vec::new();
        for pool in bound {
            let backends = self.backends.iter().enumerate();
            let own: Vec<_> = backends
                .filter(|(_, one)| one.pool.as_ref() == Some(&pool.name))
                .collect();
            let behind = own
                .iter()
                .filter(|(_, one)| one.upstream.proxy != Proxy::None);
            if own.len() > 1 {
                found.extend(behind.map(|(index, one)| Conflict {
                    rule: Rule::OneAddress,
                    list: Backend::NAME,
                    index: *index,
                    key: "proxy",
                    found: format!(
                        "{:?}, while tokens of pool \"{}\" are good at one of its backends each",
                        one.upstream.proxy.spell(),
                        pool.name
                    ),
                    allowed: "\"none\", or token_scope = \"pool\"".to_owned(),
                }));
            }
        }
        found
    }

    /// A token that is good at one backend cannot be lent for a tag that has another.
    fn tags_of_pools(&self) -> Vec<Conflict> {
        let bound = self.pools.iter();
        let bound = bound.filter(|pool| pool.token.scope == TokenScope::Backend);
        let mut found = Vec::new();
        for pool in bound {
            let backends = self.backends.iter().enumerate();
            let mut own = backends.filter(|(_, one)| one.pool.as_ref() == Some(&pool.name));
            let Some((_, first)) = own.next() else {
                continue;
            };
            let tags = |one: &Backend| one.tags.iter().cloned().collect::<BTreeSet<_>>();
            let differ = own.filter(|(_, one)| tags(one) != tags(first));
            found.extend(differ.map(|(index, one)| {
                Conflict {
                    rule: Rule::UnevenTags,
                    list: Backend::NAME,
                    index,
                    key: "tags",
                    found: format!(
                        "{:?}, while backend \"{}\" of the same pool \"{}\" has {:?}",
                        one.tags, first.id, pool.name, first.tags
                    ),
                    allowed:
                        "the same tags for all backends of a pool with token_scope = \"backend\""
                            .to_owned(),
                }
            }));
        }
        found
    }

    fn tags_of_hosts(&self) -> impl Iterator<Item = Conflict> {
        let known = self.tags();
        let hosts = self.virtual_hosts.iter().enumerate();
        hosts.flat_map(move |(index, host)| {
            let allowed = one_of(known.iter().copied());
            let unknown = host.tags().filter(|tag| !known.contains(tag));
            let conflicts = unknown.map(|tag| Conflict {
                rule: Rule::UnknownTag,
                list: VirtualHost::NAME,
                index,
                key: match tag == host.enabled_backends_tag {
                    true => "enabled_backends_tag",
                    false => "split",
                },
                found: format!("\"{tag}\", which no backend has"),
                allowed: format!("a tag of some backend: {allowed}"),
            });
            conflicts.collect::<Vec<_>>()
        })
    }

    fn policies_of_hosts(&self) -> Vec<Conflict> {
        let limits: Vec<_> = self.rate_limits.iter().map(|one| &*one.name).collect();
        let lists: Vec<_> = self.access.iter().map(|one| &*one.name).collect();
        let mut found = Vec::new();
        for (index, host) in self.virtual_hosts.iter().enumerate() {
            let named = [
                ("rate_limit", &host.rate_limit, &limits, "rate limit"),
                ("access", &host.access, &lists, "access list"),
            ];
            for (key, name, known, what) in named {
                let Some(name) = name.as_deref().filter(|name| !known.contains(name)) else {
                    continue;
                };
                found.push(Conflict {
                    rule: Rule::UnknownPolicy,
                    list: VirtualHost::NAME,
                    index,
                    key,
                    found: format!("\"{name}\", which is no {what}"),
                    allowed: one_of(known.iter().copied()),
                });
            }
        }
        found
    }
}

/// `"a", "b" or "c"`; of very many, the first.
fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
    if names.is_empty() {
        return "none, for there is none".to_owned();
    }
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        return names.join(", ") + " …";
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
