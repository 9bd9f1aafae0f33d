//! What differs between two configurations: the one place where they are compared.

use std::fmt;

use super::{
    Config,
    front::Front,
    gateway::{Gateway, plain},
    section::{
        Section,
        access::Access,
        api,
        backend::Backend,
        certificate::CertificateFiles,
        hosts,
        listen::{self, SOCKETS},
        listener::Listener,
        pool::Pool,
        rate_limit::RateLimit,
        virtual_host::VirtualHost,
    },
    text::key::{Effect, Key},
};

use turnover::Turnover;

mod turnover;

/// What differs. Its `Display` says it in a few words, without a secret: `changed: listen, accounts (1 added)`.
#[derive(Debug)]
pub struct Diff {
    keys: Vec<&'static Key>,
    lists: Vec<Turnover>,
}

impl Config {
    /// What differs in `new`.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Diff {
        let mut keys = listen::differing(self, new);
        keys.extend(self.workers.differing(&new.workers));
        keys.extend(self.upstream.differing(&new.upstream));
        keys.extend(self.client.differing(&new.client));
        keys.extend(self.token.differing(&new.token));
        keys.extend(self.lease.differing(&new.lease));
        keys.extend(self.telemetry.differing(&new.telemetry));
        keys.extend(self.metrics.differing(&new.metrics));
        let (gateway, other) = (&self.gateway, &new.gateway);
        keys.extend(gateway.retry.differing(&other.retry));
        keys.extend(gateway.health_check.differing(&other.health_check));
        keys.extend(gateway.outlier.differing(&other.outlier));
        keys.extend(self.front.tls.differing(&new.front.tls));
        keys.extend(self.front.acme.differing(&new.front.acme));
        keys.extend(self.front.http2.differing(&new.front.http2));
        keys.extend(differing_api(self, new));
        keys.extend(differing_hosts(self, new));
        let accounts = Turnover::between(
            "accounts",
            |one| &one.username,
            &self.credentials,
            &new.credentials,
        );
        let mut lists = vec![accounts];
        lists.extend(entries(self, new));
        lists.extend(of_front(&self.front, &new.front));
        lists.retain(|list| !list.is_none());
        Diff { keys, lists }
    }

    /// The entries that are declared as such: what the top of the file stands for is compared there.
    fn declared(&self) -> Declared<'_> {
        let Gateway {
            pools,
            backends,
            virtual_hosts,
            ..
        } = &self.gateway;
        let of_top = Pool::of(&self.token, &self.lease, &self.credentials);
        Declared {
            pools: pools.iter().filter(|one| **one != of_top).collect(),
            backends: backends
                .iter()
                .filter(|one| !plain::is_backend(one, &self.upstream))
                .collect(),
            virtual_hosts: virtual_hosts
                .iter()
                .filter(|one| **one != plain::host())
                .collect(),
        }
    }
}

struct Declared<'c> {
    pools: Vec<&'c Pool>,
    backends: Vec<&'c Backend>,
    virtual_hosts: Vec<&'c VirtualHost>,
}

fn entries(old: &Config, new: &Config) -> [Turnover; 5] {
    let (before, after) = (old.declared(), new.declared());
    let (old, new) = (&old.gateway, &new.gateway);
    [
        Turnover::between(Pool::NAME, |one| &one.name, before.pools, after.pools),
        Turnover::between(
            Backend::NAME,
            |one| &one.id,
            before.backends,
            after.backends,
        ),
        Turnover::between(
            VirtualHost::NAME,
            |one| &one.domain,
            before.virtual_hosts,
            after.virtual_hosts,
        ),
        Turnover::between(
            RateLimit::NAME,
            |one| &one.name,
            &old.rate_limits,
            &new.rate_limits,
        ),
        Turnover::between(Access::NAME, |one| &one.name, &old.access, &new.access),
    ]
}

fn of_front(old: &Front, new: &Front) -> [Turnover; 2] {
    let listeners = |front: &Front| -> Vec<(String, Listener)> {
        let listeners = front.listeners.iter();
        listeners
            .map(|one| (one.address.to_string(), one.clone()))
            .collect()
    };
    let (before, after) = (listeners(old), listeners(new));
    [
        Turnover::between(Listener::NAME, |one| &one.0, &before, &after),
        Turnover::between(
            CertificateFiles::NAME,
            |one| &one.files.name,
            &old.certificates,
            &new.certificates,
        ),
    ]
}

/// An API that comes or goes is another place to listen on.
fn differing_api(old: &Config, new: &Config) -> Vec<&'static Key> {
    match (&old.api, &new.api) {
        (Some(api), Some(other)) => {
            let mut keys = api.differing(other);
            if old.api_tokens != new.api_tokens {
                // Another file, or another text in it.
                keys.retain(|key| key.path != api::TOKENS_FILE.path);
                keys.push(const { &api::TOKENS_FILE });
            }
            keys
        }
        (None, None) => Vec::new(),
        _ => vec![const { &api::LISTEN }],
    }
}

fn differing_hosts(old: &Config, new: &Config) -> Vec<&'static Key> {
    match (&old.hosts, &new.hosts) {
        (Some(hosts), Some(other)) => hosts.differing(other),
        (None, None) => Vec::new(),
        _ => vec![const { &hosts::ENDPOINTS }],
    }
}

impl Diff {
    /// The keys that no reload can put in force, in the order of `tpp.toml`.
    #[must_use]
    pub fn at_restart(&self) -> Vec<&'static str> {
        let fixed = self.keys.iter().filter(|key| key.effect == Effect::Restart);
        fixed.map(|key| key.path).collect()
    }

    /// The keys that open other sockets.
    #[must_use]
    pub fn sockets(&self) -> Vec<&'static str> {
        let keys = self.keys.iter().map(|key| key.path);
        keys.filter(|path| SOCKETS.contains(path)).collect()
    }

    /// Each section, or key at the top of the file, once.
    fn places(&self) -> Vec<&'static str> {
        let mut places: Vec<_> = self
            .keys
            .iter()
            .map(|key| match key.section() {
                "" => key.path,
                section => section,
            })
            .collect();
        places.dedup();
        places
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places().into_iter().map(str::to_owned);
        let lists = self.lists.iter().map(Turnover::to_string);
        let all: Vec<_> = places.chain(lists).collect();
        if all.is_empty() {
            f.write_str("nothing has changed")
        } else {
            write!(f, "changed: {}", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
