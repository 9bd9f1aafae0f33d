//! The upstream's name to addresses, kept fresh.
//!
//! Workers read addresses and never look a name up. A [`Resolver`] keeps the last good answer: a name
//! server that is down takes nothing away from what is known.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use thiserror::Error;
use tpp::config::Upstream;

/// How often a name is looked up, asked or not.
const INTERVAL: Duration = Duration::from_secs(30);
/// How soon after a lookup without an answer, while no address is known.
const RETRY: Duration = Duration::from_secs(1);
/// Lookups on request are this far apart at least.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long a lookup may take; the system's own patience is often longer than anybody's.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a lookup came to.
#[derive(Debug)]
pub enum Resolution {
    /// [`Resolver::addresses`] has changed.
    Changed,
    /// The same addresses as before.
    Unchanged,
    /// It was not time for a lookup, or the host is an address.
    Skipped,
    /// No answer; what was known is kept.
    Failed(ResolveError),
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The system's resolver says so.
    #[error("resolve {host}")]
    Lookup {
        /// The name.
        host: String,
        /// What it says.
        source: io::Error,
    },
    /// The name is known, and has no address.
    #[error("resolve {host}: it has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// The system's resolver says nothing.
    #[error("resolve {host}: no answer within {after:?}")]
    Timeout {
        /// The name.
        host: String,
        /// The bound.
        after: Duration,
    },
}

/// Looks a name up.
pub trait Lookup {
    /// All addresses of `host`, in any order, each with `port`.
    fn lookup(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// The system's resolver: `/etc/hosts`, DNS, whatever it is set up for.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Knows where the upstream is.
pub struct Resolver<L = SystemLookup> {
    lookup: L,
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    /// The host is an address: there is nothing to look up.
    literal: bool,
    looked: Option<Instant>,
    next_look: Instant,
    failing: bool,
}

impl Resolver {
    /// A resolver for `upstream`, due at once. An address literal is known from the start.
    #[must_use]
    pub fn new(upstream: &Upstream, now: Instant) -> Self {
        Self::with_lookup(upstream, now, SystemLookup)
    }
}

impl<L: Lookup> Resolver<L> {
    /// The same with another way to look names up.
    #[must_use]
    pub fn with_lookup(upstream: &Upstream, now: Instant, lookup: L) -> Self {
        let address = upstream.host.parse::<IpAddr>().ok();
        Self {
            lookup,
            host: upstream.host.clone(),
            port: upstream.port,
            addresses: address
                .map(|ip| SocketAddr::new(ip, upstream.port))
                .into_iter()
                .collect(),
            literal: address.is_some(),
            looked: None,
            next_look: now,
            failing: false,
        }
    }

    /// The addresses, sorted, each once; empty until the first good answer.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// When [`look`](Self::look) is due; `None` for an address, which never is.
    #[must_use]
    pub fn next_look(&self) -> Option<Instant> {
        (!self.literal).then_some(self.next_look)
    }

    /// Looks the name up if that is due at `now`. Dropping the future loses nothing.
    pub async fn look(&mut self, now: Instant) -> Resolution {
        if self.literal || now < self.next_look {
            return Resolution::Skipped;
        }
        self.resolve(now).await
    }

    /// Looks the name up because somebody could not connect, unless that was done within the last second.
    pub async fn look_on_request(&mut self, now: Instant) -> Resolution {
        let recent = self
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < REQUEST_INTERVAL);
        if self.literal || recent {
            return Resolution::Skipped;
        }
        self.resolve(now).await
    }

    async fn resolve(&mut self, now: Instant) -> Resolution {
        // Set before the wait, so that a caller that gives up on us half-way does not come back at once.
        self.looked = Some(now);
        self.next_look = now
            + if self.addresses.is_empty() {
                RETRY
            } else {
                INTERVAL
            };
        match self.answer().await {
            Ok(addresses) => {
                self.next_look = now + INTERVAL;
                self.keep(addresses)
            }
            Err(error) => {
                self.report(&error);
                Resolution::Failed(error)
            }
        }
    }

    /// All addresses, sorted, each once; at least one.
    async fn answer(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        let host = || self.host.clone();
        let answer =
            tokio::time::timeout(LOOKUP_TIMEOUT, self.lookup.lookup(&self.host, self.port)).await;
        let mut addresses = answer
            .map_err(|_| ResolveError::Timeout {
                host: host(),
                after: LOOKUP_TIMEOUT,
            })?
            .map_err(|source| ResolveError::Lookup {
                host: host(),
                source,
            })?;
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            Err(ResolveError::NoAddress { host: host() })
        } else {
            Ok(addresses)
        }
    }

    fn keep(&mut self, addresses: Vec<SocketAddr>) -> Resolution {
        if std::mem::take(&mut self.failing) {
            tracing::info!(host = self.host, "upstream name resolves again");
        }
        if self.addresses == addresses {
            return Resolution::Unchanged;
        }
        tracing::info!(host = self.host, ?addresses, before = ?self.addresses, "upstream addresses changed");
        self.addresses = addresses;
        Resolution::Changed
    }

    /// Says once that the name does not resolve; while that lasts, at debug.
    fn report(&mut self, error: &ResolveError) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let known = self.addresses.len();
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(host = self.host, %error, cause, known, "upstream name still does not resolve");
        } else if known == 0 {
            tracing::error!(host = self.host, %error, cause, known, "upstream name does not resolve");
        } else {
            tracing::warn!(host = self.host, %error, cause, known, "upstream name does not resolve, old addresses kept");
        }
    }
}

impl<L> fmt::Debug for Resolver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
