//! Where a token comes from, and so where alone it may go.

use std::net::SocketAddr;

use super::Place;
use crate::{
    config::{TokenScope, Upstream},
    hash::{HASH_BEGIN, hash_on},
    ids::Origin,
};

/// The server that tokens are drawn from, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    tls: bool,
    host: String,
    port: u16,
    scope: TokenScope,
}

impl Server {
    /// That of `upstream`, its sessions good as far as `scope` says.
    #[must_use]
    pub fn of(upstream: &Upstream, scope: TokenScope) -> Self {
        Self {
            tls: upstream.tls,
            // Names are compared without regard to case.
            host: upstream.host.to_ascii_lowercase(),
            port: upstream.port,
            scope,
        }
    }

    /// Whether both are one server, whatever its sessions are good for.
    #[must_use]
    pub fn is_same_host(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// Of a token drawn at `address`.
    #[must_use]
    pub fn origin(&self, address: SocketAddr) -> Origin {
        let scheme: &[u8] = if self.tls { b"https" } else { b"http" };
        // No host has a zero byte in it: it keeps the parts apart.
        let mut hash = hash_on(HASH_BEGIN, scheme);
        hash = hash_on(hash, b"\0");
        hash = hash_on(hash, self.host.as_bytes());
        hash = hash_on(hash, b"\0");
        hash = hash_on(hash, &self.port.to_be_bytes());
        if self.scope == TokenScope::Backend {
            hash = hash_on(hash, address.to_string().as_bytes());
        }
        Origin::new(hash.max(1))
    }

    /// The server at these addresses.
    #[must_use]
    pub fn at(&self, addresses: &[SocketAddr]) -> Vec<Place> {
        let addresses = addresses.iter();
        addresses
            .map(|&address| Place {
                address,
                origin: self.origin(address),
            })
            .collect()
    }
}

/// Of a token that is good at every backend of the pool called `name`, wherever it was drawn.
#[must_use]
pub fn origin_of_pool(name: &str) -> Origin {
    // No scheme is called so.
    let hash = hash_on(hash_on(HASH_BEGIN, b"pool\0"), name.as_bytes());
    Origin::new(hash.max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn server(host: &str, port: u16, tls: bool, scope: TokenScope) -> Server {
        Server {
            tls,
            host: host.to_owned(),
            port,
            scope,
        }
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        for scope in [TokenScope::Backend, TokenScope::Pool] {
            let address = "127.0.0.1:80".parse().unwrap();
            let origins: HashSet<_> = [
                server("a", 80, false, scope),
                server("b", 80, false, scope),
                server("a", 81, false, scope),
                server("a", 80, true, scope),
            ]
            .iter()
            .map(|server| server.origin(address))
            .collect();
            assert_eq!(origins.len(), 4, "{scope:?}");
        }
    }

    #[test]
    fn the_address_counts_only_where_sessions_are_kept_at_each() {
        let addresses = ["127.0.0.1:80", "127.0.0.2:80"].map(|text| text.parse().unwrap());
        let origins = |scope| {
            let backends = server("a", 80, false, scope).at(&addresses);
            backends
                .iter()
                .map(|one| one.origin)
                .collect::<HashSet<_>>()
        };
        assert_eq!(origins(TokenScope::Backend).len(), 2);
        assert_eq!(origins(TokenScope::Pool).len(), 1);
    }
}
