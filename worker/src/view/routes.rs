//! Which virtual host a request is for.

use std::{collections::HashMap, sync::Arc};

use tpp::config::DEFAULT_DOMAIN;

use super::site::Site;
use crate::message::host::without_port;

/// Longest host name (RFC 1035, 2.3.4), and a closing dot.
const LONGEST_NAME: usize = 254;

/// The virtual hosts, by name.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    exact: HashMap<Vec<u8>, Arc<Site>>,
    /// By what follows the `*`, dot included.
    wildcards: HashMap<Vec<u8>, Arc<Site>>,
    /// For whatever no other one is for.
    default: Option<Arc<Site>>,
}

impl Routes {
    pub(crate) fn new(sites: impl Iterator<Item = Arc<Site>>) -> Self {
        let mut routes = Self::default();
        for site in sites {
            let domain = site.plan.host.domain.as_str();
            if domain == DEFAULT_DOMAIN {
                routes.default = Some(site);
            } else if let Some(suffix) = domain.strip_prefix('*') {
                routes.wildcards.insert(suffix.into(), site);
            } else {
                routes.exact.insert(domain.into(), site);
            }
        }
        routes
    }

    /// The virtual host for `authority`, a host and perhaps a port as the client has it: that of its very name, else of the
    /// longest `*.` that covers it, else the default one.
    pub(crate) fn find(&self, authority: Option<&[u8]>) -> Option<&Arc<Site>> {
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return self.default.as_ref();
        }
        self.named(authority.unwrap_or_default())
            .or(self.default.as_ref())
    }

    /// The one of this very domain.
    pub(super) fn of_domain(&self, domain: &str) -> Option<&Arc<Site>> {
        match domain.strip_prefix('*') {
            _ if domain == DEFAULT_DOMAIN => self.default.as_ref(),
            Some(suffix) => self.wildcards.get(suffix.as_bytes()),
            None => self.exact.get(domain.as_bytes()),
        }
    }

    fn named(&self, authority: &[u8]) -> Option<&Arc<Site>> {
        let name = without_port(authority);
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut lower = [0; LONGEST_NAME];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(site) = self.exact.get(&*lower) {
            return Some(site);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let dots = lower.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        // From the left: the longest suffix first. What stands before the dot is never nothing.
        dots.filter(|(at, _)| *at > 0)
            .find_map(|(at, _)| self.wildcards.get(&lower[at..]))
    }
}

#[cfg(test)]
mod tests {
    use tpp::{config::VirtualHost, lending::WorkerSettings, plan::HostPlan};

    use super::*;
    use crate::tests::play::settings;
    use crate::view::member::Parts;

    fn routes(domains: &[&str]) -> Routes {
        let settings: Arc<WorkerSettings> = Arc::new(settings(80));
        Routes::new(domains.iter().map(|domain| {
            let plan = HostPlan {
                host: VirtualHost::of(domain, "a"),
                rate_limit: None,
                access: None,
                permits: None,
                row: 0,
                pairs: Vec::new(),
                groups: Vec::new(),
            };
            let parts = Parts {
                settings: &settings,
                pools: &[],
                backends: &[],
                is_counted: true,
            };
            Arc::new(Site::new((plan, None), parts, None))
        }))
    }

    fn found(routes: &Routes, authority: &str) -> Option<String> {
        let site = routes.find(Some(authority.as_bytes()));
        site.map(|site| site.plan.host.domain.clone())
    }

    #[test]
    fn the_very_name_goes_before_the_longest_wildcard_and_that_before_the_default() {
        let routes = routes(&["a.example", "*.example", "*.b.example", "default", "[::1]"]);
        for (authority, domain) in [
            ("a.example", "a.example"),
            ("A.Example.:8080", "a.example"),
            ("b.example", "*.example"),
            ("x.b.example:80", "*.b.example"),
            ("x.y.b.example", "*.b.example"),
            ("example", "default"),
            (".example", "default"),
            ("[::1]:8080", "[::1]"),
            ("", "default"),
            (&"x".repeat(300), "default"),
        ] {
            assert_eq!(
                found(&routes, authority).as_deref(),
                Some(domain),
                "{authority}"
            );
        }
        assert_eq!(
            routes.find(None).map(|site| site.plan.host.domain.as_str()),
            Some("default")
        );
    }

    #[test]
    fn without_a_default_host_a_foreign_name_finds_nobody() {
        let routes = routes(&["a.example"]);
        assert_eq!(found(&routes, "b.example"), None);
        assert!(routes.find(None).is_none());
    }
}
