//! Hosts that are to have certificates of their own: which they are, and why one can get none.

use std::net::SocketAddr;

use super::{Front, ITS_OWN, Lack};
use crate::config::{
    Gateway,
    section::{
        acme::Challenge,
        virtual_host::{DEFAULT_DOMAIN, VirtualHost},
    },
};

impl Gateway {
    /// Domains of the hosts that are to have certificates of their own.
    pub fn own_hosts(&self) -> impl Iterator<Item = &str> {
        let hosts = self.virtual_hosts.iter();
        let own = hosts.filter(|host| host.certificate == ITS_OWN);
        own.map(|host| host.domain.as_str())
    }
}

impl Front {
    /// Why `host` cannot get a certificate of its own. `listen` are addresses besides the listeners.
    pub(super) fn obstacle(&self, listen: &[SocketAddr], host: &VirtualHost) -> Option<Lack> {
        let obstacle = |found: String, allowed| Some(Lack { found, allowed });
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
