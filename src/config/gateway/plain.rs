//! The tables at the top of a file as pool, backend and host.

use std::borrow::Cow;

use super::Gateway;
use crate::config::{
    section::{
        Section,
        access::Access,
        backend::{self, Backend},
        credentials::{Credential, account},
        entries,
        health_check::{self, HealthCheck},
        lease::Lease,
        outlier::Outlier,
        pool::Pool,
        rate_limit::RateLimit,
        read,
        retry::Retry,
        token::Token,
        upstream::Upstream,
        virtual_host::{DEFAULT_DOMAIN, VirtualHost},
    },
    text::{
        reader::{Reader, Table},
        tree::{Node, Value},
    },
};

/// Id of the backend that `[upstream]` makes.
pub const PLAIN_BACKEND: &str = "upstream";
/// Tag of that backend.
pub const PLAIN_TAG: &str = "default";

/// What the top of a file declares, which holds for the tables where they say nothing else.
pub(in crate::config) struct Top<'a> {
    pub(in crate::config) upstream: &'a Upstream,
    pub(in crate::config) token: &'a Token,
    pub(in crate::config) lease: &'a Lease,
    pub(in crate::config) credentials: &'a [Credential],
}

impl Top<'_> {
    /// Reads the tables; where there are no backends among them, the top stands for one.
    pub(in crate::config) fn gateway(&self, reader: &mut Reader<'_>, top: &Table<'_>) -> Gateway {
        let pools = self.pools(reader, top);
        let health_check: HealthCheck = read(reader, top);
        let mut virtual_hosts: Vec<VirtualHost> = entries(reader, top, None);
        let backends = if reader.gateway {
            let base = Backend::base(
                self.upstream,
                &health_check,
                default_pool(&pools).as_deref(),
            );
            entries(reader, top, Some(&base))
        } else {
            if !virtual_hosts
                .iter()
                .any(|host| host.domain == DEFAULT_DOMAIN)
            {
                virtual_hosts.push(host());
            }
            vec![self.backend(&health_check, asks_for_checks(top), &pools)]
        };
        Gateway {
            pools,
            backends,
            virtual_hosts,
            rate_limits: entries::<RateLimit>(reader, top, None),
            access: entries::<Access>(reader, top, None),
            retry: read::<Retry>(reader, top),
            health_check,
            outlier: read::<Outlier>(reader, top),
        }
    }

    fn pools(&self, reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<Pool> {
        let base = Pool::of(self.token, self.lease, &[]);
        let mut pools = entries(reader, top, Some(&base));
        let declared = !pools.is_empty();
        if !self.credentials.is_empty() {
            pools.push(Pool::of(self.token, self.lease, self.credentials));
        }
        // The top's own accounts have been counted.
        if declared {
            account::note_total(reader, pools.iter().flat_map(|pool| &pool.credentials));
        }
        pools
    }

    fn backend(&self, checks: &HealthCheck, enabled: bool, pools: &[Pool]) -> Backend {
        let health_check = HealthCheck {
            enabled,
            ..checks.clone()
        };
        // The top's own accounts are the upstream's, whatever other pools there are.
        let pool = pools.last().map(|pool| pool.name.as_str());
        Backend {
            id: PLAIN_BACKEND.to_owned(),
            upstream: self.upstream.clone(),
            tags: vec![PLAIN_TAG.to_owned()],
            ..Backend::base(self.upstream, &health_check, pool)
        }
    }
}

/// The host of a file without backends.
pub(in crate::config) fn host() -> VirtualHost {
    VirtualHost::of(DEFAULT_DOMAIN, PLAIN_TAG)
}

/// Whether it is what `upstream` stands for, and no more than that.
pub(in crate::config) fn is_backend(backend: &Backend, upstream: &Upstream) -> bool {
    let plain = backend.id == PLAIN_BACKEND && backend.upstream == *upstream;
    plain && !backend.health_check.enabled
}

/// The pool of a backend that names none: the only one there is.
pub(in crate::config) fn default_pool(pools: &[Pool]) -> Option<Cow<'_, str>> {
    match pools {
        [] => None,
        [only] => Some(only.name.as_str().into()),
        _ => Some(backend::UNCLEAR_POOL.into()),
    }
}

/// A plain file has to ask for health checks.
fn asks_for_checks(top: &Table<'_>) -> bool {
    let Some(Node {
        value: Value::Table(entries),
        ..
    }) = top.named(HealthCheck::NAME)
    else {
        return false;
    };
    let name = health_check::ENABLED.leaf();
    let enabled = entries.iter().find(|entry| entry.name == name);
    enabled.is_some_and(|entry| matches!(entry.node.value, Value::Flag(true)))
}
