//! What a pool is to be.

use tpp::{
    config::{Pool, Upstream},
    plan::Place,
};
use url::Url;

use super::sharing::Sharing;
use crate::{
    provider::SetupError,
    refresh::{Server, Setup},
};

/// What a pool is made of: its part of the configuration, and where its tokens are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) pool: Pool,
    /// Its backends: the first, and the others.
    pub(crate) servers: (Server, Vec<Server>),
    /// In turn; one has as many places as its weight says.
    pub(crate) places: Vec<Place>,
}

impl Wanted {
    /// How its logins are made.
    ///
    /// # Errors
    /// If they cannot be prepared.
    pub(super) fn setup(&self) -> Result<Setup, SetupError> {
        let (first, others) = &self.servers;
        Setup::of(&self.pool, first, others)
    }

    /// Whose its accounts are, in the eyes of other hosts.
    pub(super) fn upstream(&self, sharing: &Sharing) -> tpp_hosts::Upstream {
        upstream_of(&self.pool, &self.servers.0.upstream, sharing)
    }
}

/// Whose accounts those of `pool` are, in the eyes of other hosts, if `first` is the server of its first backend.
pub(crate) fn upstream_of(pool: &Pool, first: &Upstream, sharing: &Sharing) -> tpp_hosts::Upstream {
    let url = pool.login.url.as_ref();
    let origin = match url.and_then(|url| Url::parse(url).ok()) {
        Some(url) => url.origin().ascii_serialization(),
        None => {
            let scheme = if first.tls { "https" } else { "http" };
            let host = first.host.to_ascii_lowercase();
            format!("{scheme}://{host}:{}", first.port)
        }
    };
    sharing.upstream(pool.provider.word(), &origin)
}
