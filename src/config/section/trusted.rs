//! `trusted_proxies`: whose word about a client is taken.

use std::{hint::cold_path, net::IpAddr};

use super::access::Cidr;

/// Whose `Forwarded` and `X-Forwarded-…` are believed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TrustedProxies {
    /// Everybody's: `trust_forwarded = true`.
    Any,
    /// Those that come from these networks; none when there are none.
    From(Vec<Cidr>),
}

impl TrustedProxies {
    /// Whether what `address` says is believed. An IPv4 address within IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::From(networks) if networks.is_empty() => false,
            Self::From(networks) => {
                // Most believe nobody, and are asked for each request.
                cold_path();
                let address = address.to_canonical();
                networks.iter().any(|one| one.contains(&address))
            }
        }
    }
}
