//! Who is let in: as many connections as `[client]` allows, over all workers, and no more than leave the upstream's side its descriptors.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use nix::sys::resource::{Resource, getrlimit};
use tpp::{
    clients::{Admitted, Bounds, Full},
    config::Client,
    lending::Desk,
};

use crate::log::Muffler;

/// Most refused connections that wait for their clients to read why; fewer where descriptors are few.
const MOST_LINGERING: usize = 128;
/// One in so many descriptors is for them.
const LINGERING_SHARE: usize = 16;
/// What a worker has open besides connections, region and bells.
const OWN: usize = 32;

/// The limits as far as they are this process's own.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Descriptors that client and upstream connections may have together.
    descriptors: usize,
    most_lingering: usize,
    lingering: Arc<AtomicUsize>,
    pub(crate) muffler: Muffler,
}

/// A connection's place among those let in. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    desk: Arc<Desk>,
    admitted: Option<Admitted>,
}

/// A refused connection's leave to wait until its client has read why.
#[derive(Debug)]
pub(crate) struct Lingering(Arc<AtomicUsize>);

impl Limit {
    pub(crate) fn new(desk: &Desk) -> Self {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let all = usize::try_from(soft).unwrap_or(usize::MAX);
        let most_lingering = (all / LINGERING_SHARE).min(MOST_LINGERING);
        let own = OWN + desk.descriptors().len() + most_lingering;
        Self {
            descriptors: all.saturating_sub(own),
            most_lingering,
            lingering: Arc::default(),
            muffler: Muffler::default(),
        }
    }

    /// Descriptors that client and upstream connections may have together.
    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Lets a connection from `address` in, if the upstream's side may need `upstream` descriptors.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(crate) fn admit(
        &self,
        desk: &Arc<Desk>,
        address: IpAddr,
        client: &Client,
        upstream: usize,
    ) -> Result<Place, Full> {
        let bounds = Bounds {
            total: client.max_connections,
            per_address: client.max_connections_per_address,
            // One at least, however few there are.
            here: Some(self.descriptors.saturating_sub(upstream).max(1)),
        };
        let admitted = desk.admit(address, bounds)?;
        Ok(Place {
            desk: Arc::clone(desk),
            admitted: Some(admitted),
        })
    }

    /// Leave to linger; `None`: as many do as may.
    pub(crate) fn linger(&self) -> Option<Lingering> {
        // Relaxed, here and below: one thread writes and reads; the atomic only makes the type shareable.
        let lingering = self.lingering.load(Relaxed);
        (lingering < self.most_lingering).then(|| {
            self.lingering.store(lingering + 1, Relaxed);
            Lingering(Arc::clone(&self.lingering))
        })
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            self.desk.let_go(admitted);
        }
    }
}
