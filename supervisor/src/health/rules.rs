//! What is checked, and how.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::ClientConfig;
use tpp::{
    config::{Credential, Statuses, Upstream},
    tls::{self, TrustError},
};

use crate::provider::Provider;

/// A backend that is checked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// Where it is, by which name, and how TLS is spoken to it.
    pub upstream: Upstream,
    /// Whom to trust there.
    pub trust: Trust,
    /// Its addresses, as far as its name has resolved.
    pub addresses: Vec<SocketAddr>,
    /// How it is checked.
    pub rules: Rules,
}

/// Whom to trust at backends whose TLS settings are the same: found out once, when it is first asked for, since a system's roots take
/// their time.
#[derive(Debug, Clone, Default)]
pub struct Trust(Arc<OnceLock<Arc<ClientConfig>>>);

impl Trust {
    /// The settings for `upstream`, which requests have as well.
    ///
    /// # Errors
    /// If the roots cannot be had.
    pub fn settings(&self, upstream: &Upstream) -> Result<Arc<ClientConfig>, TrustError> {
        if let Some(known) = self.0.get() {
            return Ok(Arc::clone(known));
        }
        let settings = Arc::new(tls::client_config(upstream)?);
        Ok(Arc::clone(self.0.get_or_init(|| settings)))
    }
}

/// How a backend is checked.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What is asked of it.
    pub kind: Kind,
    /// From the end of a check to the next one, on average.
    pub interval: Duration,
    /// Bound on a whole check.
    pub timeout: Duration,
    /// How many checks in a row, at least one, must pass before one that is down is up again.
    pub healthy_threshold: u32,
    /// How many in a row, at least one, must fail before one that is up is down.
    pub unhealthy_threshold: u32,
}

/// What is asked of a backend.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `GET`, answered with one of some statuses.
    Http {
        /// What follows the authority in the URL.
        path: String,
        /// The statuses that pass.
        expect: Statuses,
    },
    /// A connection, with TLS where TLS is spoken.
    Tcp,
    /// A login that is answered.
    Login(Login),
}

/// A login as a sign of life.
#[derive(Clone)]
pub struct Login {
    /// How.
    pub provider: Arc<dyn Provider>,
    /// Whose.
    pub account: Arc<Credential>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}
