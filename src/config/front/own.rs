//! Hosts that are to have certificates of their own: which can get one, and why another cannot.

use std::net::SocketAddr;

use super::{Front, ITS_OWN};
use crate::config::{
    Config, Gateway,
    section::{
        acme::Challenge,
        virtual_host::{DEFAULT_DOMAIN, VirtualHost},
    },
};

/// A host that is to have a certificate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// Its domain.
    pub domain: String,
    /// Why it cannot get one, if it cannot.
    pub obstacle: Option<String>,
}

/// Why a host can get no certificate of its own.
pub(super) struct Obstacle {
    pub(super) found: String,
    pub(super) allowed: &'static str,
}

impl Config {
    /// The hosts of `gateway` that are to have certificates of their own.
    #[must_use]
    pub fn own_hosts(&self, gateway: &Gateway) -> Vec<OwnHost> {
        let hosts = gateway.virtual_hosts.iter();
        let hosts = hosts.filter(|host| host.certificate == ITS_OWN);
        hosts
            .map(|host| {
                let obstacle = self.front.obstacle(&self.listen, host);
                OwnHost {
                    domain: host.domain.clone(),
                    obstacle: obstacle.map(|one| format!("{}; {}", one.found, one.allowed)),
                }
            })
            .collect()
    }
}

impl Front {
    /// Why `host` cannot get a certificate of its own. `listen` are addresses besides the listeners.
    pub(super) fn obstacle(&self, listen: &[SocketAddr], host: &VirtualHost) -> Option<Obstacle> {
        let obstacle = |found: String, allowed| Some(Obstacle { found, allowed });
        if !self.acme.enabled {
            let found = "\"acme\", while acme.enabled is false".to_owned();
            return obstacle(
                found,
                "\"auto\", a name of [[certificates]], or acme.enabled = true",
            );
        }
        let domain = &host.domain;
        if domain == DEFAULT_DOMAIN || domain.starts_with("*.") || is_address(domain) {
            let found = format!("\"acme\" for \"{domain}\", which is no single name");
            return obstacle(found, "\"acme\" for a host name that clients ask for");
        }
        if !self.has_tls() {
            let found = "\"acme\", while no listener has tls = true".to_owned();
            return obstacle(found, "\"acme\" with a listener with tls");
        }
        let has_plain = !listen.is_empty() || self.listeners.iter().any(|one| !one.tls);
        if self.acme.challenge == Challenge::Http01 && !has_plain {
            let found = "\"acme\", while all listeners have tls = true".to_owned();
            let allowed = "an address without TLS, where http-01 is answered, or acme.challenge = \"tls-alpn-01\"";
            return obstacle(found, allowed);
        }
        None
    }
}

fn is_address(domain: &str) -> bool {
    domain.starts_with('[') || domain.parse::<std::net::IpAddr>().is_ok()
}
