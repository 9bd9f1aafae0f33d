//! What stands around the pool: several servers, hosts and pools, as one value.
//!
//! A file's tables become a [`Gateway`] whose references are checked (`check`). A file without `[[backends]]` becomes
//! one too: what its top declares are one pool, one backend and one host (`plain`). The management API reads
//! a single entry by the same rules as a file (`entry`).

use super::section::{
    Section, access::Access, backend::Backend, health_check::HealthCheck, outlier::Outlier,
    pool::Pool, rate_limit::RateLimit, retry::Retry, virtual_host::VirtualHost,
};
use super::text::write::Map;

mod check;
mod entry;
pub(super) mod plain;

#[cfg(test)]
mod tests;

pub use check::{Conflict, Rule};
pub use entry::{Entry, Overlay};

/// All that is declared around the pools of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Names unique. The one that the top of a file makes comes last.
    pub pools: Vec<Pool>,
    /// Ids unique.
    pub backends: Vec<Backend>,
    /// Domains unique.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Names unique.
    pub rate_limits: Vec<RateLimit>,
    /// Names unique.
    pub access: Vec<Access>,
    /// `[retry]`.
    pub retry: Retry,
    /// `[health_check]`: what holds of a backend that says nothing else.
    pub health_check: HealthCheck,
    /// `[outlier]`.
    pub outlier: Outlier,
}

impl Gateway {
    /// As tables of a configuration file, but for what is secret: an account stands there with the name of its
    /// password's file, or without a password. What has no such account reads back to the same value.
    ///
    /// # Errors
    /// A value that TOML cannot hold, which none that was read from a file is.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut map = Map::new();
        map.insert(Pool::NAME.to_owned(), tables(&self.pools).into());
        // Also when there is none: it says that this is no file of an [upstream].
        map.insert(
            Backend::NAME.to_owned(),
            self.backends.iter().map(Entry::to_json).collect(),
        );
        map.insert(
            VirtualHost::NAME.to_owned(),
            tables(&self.virtual_hosts).into(),
        );
        map.insert(RateLimit::NAME.to_owned(), tables(&self.rate_limits).into());
        map.insert(Access::NAME.to_owned(), tables(&self.access).into());
        map.insert(Retry::NAME.to_owned(), self.retry.write_table().into());
        map.insert(
            HealthCheck::NAME.to_owned(),
            self.health_check.write_table().into(),
        );
        map.insert(Outlier::NAME.to_owned(), self.outlier.write_table().into());
        map.retain(|name, value| {
            name == Backend::NAME || value.as_array().is_none_or(|list| !list.is_empty())
        });
        toml::to_string(&toml::Table::try_from(map)?)
    }

    /// Every tag that some backend has, each once.
    #[must_use]
    pub fn tags(&self) -> std::collections::BTreeSet<&str> {
        let tags = self.backends.iter().flat_map(|backend| &backend.tags);
        tags.map(String::as_str).collect()
    }
}

fn tables<S: Section>(list: &[S]) -> Vec<serde_json::Value> {
    list.iter().map(|one| one.write_table().into()).collect()
}
