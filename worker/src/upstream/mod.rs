//! The upstream: its addresses, and the idle connections kept for the next request.
//!
//! They are kept here and not by Pingora's connector, because all a worker needs is a stack: the last one used is the first one
//! reused, and no task watches over each.

pub(crate) mod transport;

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tpp::lending::WorkerSettings;
use tracing::warn;

use crate::{
    clock::millis,
    log::Muffler,
    upstream::transport::{Transport, Unreachable},
    wire::Wire,
};

/// Most addresses tried for one connection.
const ATTEMPTS: usize = 4;

/// The upstream as one version of settings and addresses describes it.
pub(crate) struct Upstream {
    /// `host:port`.
    authority: String,
    transport: Arc<Transport>,
    addresses: Vec<SocketAddr>,
    /// Index of the address to begin with.
    next: AtomicUsize,
    idle: Mutex<Vec<Idle>>,
    most_idle: AtomicUsize,
    /// Milliseconds after which an idle connection is closed.
    idle_limit: u64,
    connect_timeout: Duration,
    muffler: Muffler,
}

struct Idle {
    wire: Wire,
    since: u64,
}

impl Upstream {
    pub(crate) fn new(settings: &WorkerSettings, addresses: &[SocketAddr]) -> Self {
        Self::over(Arc::new(Transport::new(settings)), settings, addresses)
    }

    /// The same upstream at other addresses.
    pub(crate) fn moved(&self, settings: &WorkerSettings, addresses: &[SocketAddr]) -> Self {
        Self::over(Arc::clone(&self.transport), settings, addresses)
    }

    fn over(
        transport: Arc<Transport>,
        settings: &WorkerSettings,
        addresses: &[SocketAddr],
    ) -> Self {
        let host = if settings.upstream.host.contains(':') {
            format!("[{}]", settings.upstream.host)
        } else {
            settings.upstream.host.clone()
        };
        Self {
            authority: format!("{host}:{}", settings.upstream.port),
            transport,
            addresses: addresses.to_vec(),
            next: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            most_idle: AtomicUsize::new(
                settings
                    .upstream
                    .max_idle_connections
                    .div_ceil(settings.workers.max(1)),
            ),
            idle_limit: millis(settings.upstream.idle_timeout),
            connect_timeout: settings.upstream.connect_timeout,
            muffler: Muffler::default(),
        }
    }

    /// `host:port`, as a `Host` field holds it.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A connection that was used before and is still good.
    pub(crate) fn reuse(&self) -> Option<Wire> {
        let mut idle = self.idle.lock();
        while let Some(mut candidate) = idle.pop() {
            if candidate.wire.is_quiet() {
                return Some(candidate.wire);
            }
        }
        None
    }

    /// Keeps a connection on which the last exchange ended in order.
    pub(crate) fn keep(&self, mut wire: Wire, now: u64) {
        wire.forget_buffers();
        let mut idle = self.idle.lock();
        if idle.len() < self.most_idle.load(Relaxed) {
            idle.push(Idle { wire, since: now });
        }
    }

    /// Closes idle connections that are too old or were ended by the upstream.
    pub(crate) fn tend(&self, now: u64) {
        self.idle.lock().retain_mut(|idle| {
            now.saturating_sub(idle.since) < self.idle_limit && idle.wire.is_quiet()
        });
    }

    /// Keeps no connection any more: others are in force than those this was made of.
    pub(crate) fn retire(&self) {
        self.most_idle.store(0, Relaxed);
        self.idle.lock().clear();
    }

    /// Connects anew: to each address in turn, until one accepts.
    pub(crate) async fn connect(&self) -> Result<Wire, Unreachable> {
        let count = self.addresses.len();
        if count == 0 {
            return Err(Unreachable::NoAddress);
        }
        // Relaxed: any address is as good to begin with.
        let first = self.next.fetch_add(1, Relaxed);
        let mut last = Unreachable::NoAddress;
        for attempt in 0..count.min(ATTEMPTS) {
            let address = self.addresses[(first.wrapping_add(attempt)) % count];
            match self.transport.connect(address, self.connect_timeout).await {
                Ok(stream) => return Ok(Wire::new(stream)),
                Err(unreachable) => {
                    if self.muffler.may_speak() {
                        warn!(%address, error = %unreachable, "upstream unreachable");
                    }
                    last = unreachable;
                }
            }
        }
        Err(last)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("authority", &self.authority)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
