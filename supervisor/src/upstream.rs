//! Keeps the workers told where the upstream is: its name is resolved here, never on a request's path.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tpp::{config::Upstream, pool::Stock};
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

    fn publish(&self, addresses: &[SocketAddr], stock: &Stock) {
        addresses.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(too_long) = stock.publish_upstream(addresses) {
            error!(error = %too_long, "upstream addresses not published: the workers keep the old ones");
        }
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
    // An address literal is known without a look.
    published.publish(resolver.addresses(), &stock);
    let mut reports = stock.region().unreachable_reports();
    loop {
        let due = resolver
            .next_look()
            .unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        let resolution = tokio::select! {
            () = tokio::time::sleep_until(due.into()) => resolver.look(Instant::now()).await,
            Ok(()) = upstream.changed() => {
                resolver = Resolver::new(&upstream.borrow_and_update(), Instant::now());
                // The old addresses stay until the new name resolves.
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
