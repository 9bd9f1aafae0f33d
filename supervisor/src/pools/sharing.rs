//! What the pools themselves must know of other hosts.

use std::{collections::BTreeMap, time::Duration};

use tpp::config::Hosts as Wanted;
use tpp_hosts::{Upstream, deadlines::login_margin};

/// A duration as the core counts.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Of pools whose accounts are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// With more than this left of its time a login begins.
    pub(crate) margin: Duration,
    /// Names the server of the one pool that there is.
    upstream_id: Option<String>,
}

impl Sharing {
    /// As `[hosts]` says.
    pub(crate) fn of(wanted: &Wanted) -> Self {
        Self {
            margin: Duration::from_nanos(login_margin(nanos(wanted.takeover))),
            upstream_id: wanted.upstream_id.clone(),
        }
    }

    /// The server whose accounts `provider` logs in to at `origin`.
    pub(crate) fn upstream(&self, provider: &str, origin: &str) -> Upstream {
        match &self.upstream_id {
            Some(id) => Upstream::named(id),
            None => Upstream::of(provider, origin),
        }
    }

    /// Whether each pool has a server of its own: hosts count the sessions of one, whichever pool they are in.
    ///
    /// # Errors
    /// Which two pools have one.
    pub(crate) fn are_apart<'a>(
        &self,
        pools: impl Iterator<Item = (&'a str, Upstream)>,
    ) -> Result<(), String> {
        let mut known: BTreeMap<Upstream, &str> = BTreeMap::new();
        for (pool, upstream) in pools {
            if let Some(other) = known.insert(upstream, pool) {
                let why = match &self.upstream_id {
                    Some(_) => "hosts.upstream_id names the server of one pool",
                    None => "they log in at one server",
                };
                return Err(format!(
                    "[hosts]: pools {other} and {pool} cannot both be shared with other hosts: {why}; put their accounts into one pool"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(upstream_id: Option<&str>) -> Sharing {
        Sharing {
            margin: Duration::ZERO,
            upstream_id: upstream_id.map(str::to_owned),
        }
    }

    fn check(sharing: &Sharing, origins: [&str; 2]) -> Result<(), String> {
        let pools = ["one", "two"].into_iter().zip(origins);
        sharing.are_apart(pools.map(|(pool, origin)| (pool, sharing.upstream("dolphindb", origin))))
    }

    #[test]
    fn each_server_has_one_pool() {
        let (plain, named) = (sharing(None), sharing(Some("db")));
        assert_eq!(check(&plain, ["http://a:1", "http://b:1"]), Ok(()));
        let both = check(&plain, ["http://a:1", "http://a:1"]).unwrap_err();
        assert!(both.contains("one server"), "{both}");
        let named = check(&named, ["http://a:1", "http://b:1"]).unwrap_err();
        assert!(named.contains("upstream_id"), "{named}");
    }
}
