//! Keeps the workers told where the upstream is: its name is resolved here, never on a request's path.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tpp::{config::Upstream, lending::Stock};
use tracing::error;

use crate::resolve::{Resolution, Resolver};

/// Longer than any look is put off: the wait when there is nothing to look up.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// The addresses as last published.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamAddresses(Arc<Mutex<Vec<SocketAddr>>>);

impl UpstreamAddresses {
    /// The addresses; none as long as the name did not resolve.
    pub(crate) fn list(&self) -> Vec<SocketAddr> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, addresses: &[SocketAddr]) {
        addresses.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells the workers.
    pub(crate) fn publish(&self, addresses: &[SocketAddr], stock: &Stock) {
        self.note(addresses);
        if let Err(too_long) = stock.publish_upstream(addresses) {
            error!(error = %too_long, "upstream addresses not published: the workers keep the old ones");
        }
    }
}

/// The addresses of an upstream that is about to be put in force.
///
/// # Errors
/// If its name does not resolve.
pub(crate) async fn resolve(upstream: &Upstream) -> Result<Vec<SocketAddr>, String> {
    let mut resolver = Resolver::new(upstream, Instant::now());
    if resolver.addresses().is_empty() {
        resolver.look(Instant::now()).await;
    }
    match resolver.addresses() {
        [] => Err(format!(
            "upstream.host {:?} does not resolve",
            upstream.host
        )),
        addresses => Ok(addresses.to_vec()),
    }
}

/// Resolves as long as the supervisor lives; `bell` changes whenever a worker rang, `upstream` when another one is
/// put in force.
pub(crate) async fn follow(
    mut upstream: watch::Receiver<Upstream>,
    stock: Arc<Stock>,
    published: UpstreamAddresses,
    mut bell: watch::Receiver<()>,
) {
    let mut resolver = Resolver::new(&upstream.borrow_and_update(), Instant::now());
    match resolver.addresses() {
        // A name: until it resolves, the workers keep what a predecessor told them.
        [] => published.note(&stock.upstream_addresses()),
        // An address literal is known without a look.
        addresses => published.publish(addresses, &stock),
    }
    let mut reports = stock.region().unreachable_reports();
    loop {
        let due = resolver
            .next_look()
            .unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        let resolution = tokio::select! {
            () = tokio::time::sleep_until(due.into()) => resolver.look(Instant::now()).await,
            Ok(()) = upstream.changed() => {
                resolver = Resolver::new(&upstream.borrow_and_update(), Instant::now());
                // Whoever put it in force has published its addresses; from here on they are kept fresh.
                match resolver.addresses() {
                    [] => resolver.look(Instant::now()).await,
                    _ => Resolution::Changed,
                }
            }
            Ok(()) = bell.changed() => {
                let before = std::mem::replace(&mut reports, stock.region().unreachable_reports());
                if reports == before {
                    continue;
                }
                resolver.look_on_request(Instant::now()).await
            }
        };
        if matches!(resolution, Resolution::Changed) {
            published.publish(resolver.addresses(), &stock);
        }
    }
}
