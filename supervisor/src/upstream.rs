//! Keeps the workers told where the upstream is: its name is resolved here, never on a request's path.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tpp::pool::Stock;
use tracing::error;

use crate::resolve::Resolver;

/// The addresses as last published.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamAddresses(Arc<Mutex<Vec<SocketAddr>>>);

impl UpstreamAddresses {
    /// The addresses; none as long as the name did not resolve.
    pub(crate) fn list(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
