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
use tpp::{config::HostHeader, lending::WorkerSettings};
use tracing::warn;

use crate::{
    clock::millis,
    http1::write::Host,
    log::Muffler,
    upstream::transport::{Transport, Unreachable},
    wire::Wire,
};

/// Most addresses tried for one connection.
const ATTEMPTS: usize = 4;
/// How much sooner than its server says a connection is given up: a request that is under way when the server closes is lost.
const HINT_MARGIN: Duration = Duration::from_secs(1);

/// The upstream as one version of settings and addresses describes it.
pub(crate) struct Upstream {
    /// Its host, and its port if that is not the usual one.
    authority: String,
    /// It gets its own name as `Host`, not the one that the client asks for.
    goes_by_own_name: bool,
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
    /// When it is closed, by the worker's clock.
    until: u64,
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
        let upstream = &settings.upstream;
        let usual_port = if upstream.tls { 443 } else { 80 };
        Self {
            authority: if upstream.port == usual_port {
                host
            } else {
                format!("{host}:{}", upstream.port)
            },
            goes_by_own_name: match upstream.host_header {
                // Behind TLS stand those that serve by name: it must be the one in their certificate.
                HostHeader::Auto => upstream.tls,
                HostHeader::Client => false,
                HostHeader::Upstream => true,
            },
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

    /// The `Host` of its requests.
    pub(crate) fn host(&self) -> Host<'_> {
        if self.goes_by_own_name {
            Host::Upstream(&self.authority)
        } else {
            Host::Client {
                or: &self.authority,
            }
        }
    }

    /// A connection that was used before and is still good.
    pub(crate) fn reuse(&self, now: u64) -> Option<Wire> {
        let mut idle = self.idle.lock();
        while let Some(mut candidate) = idle.pop() {
            if now < candidate.until && candidate.wire.is_quiet() {
                return Some(candidate.wire);
            }
        }
        None
    }

    /// Keeps a connection on which the last exchange ended in order, for as long as ours are kept and, less a margin, its
    /// server said that it does.
    pub(crate) fn keep(&self, mut wire: Wire, said: Option<Duration>, now: u64) {
        let said = said.map_or(u64::MAX, |said| millis(said.saturating_sub(HINT_MARGIN)));
        if said == 0 {
            return;
        }
        wire.forget_buffers();
        let mut idle = self.idle.lock();
        if idle.len() < self.most_idle.load(Relaxed) {
            idle.push(Idle {
                wire,
                until: now.saturating_add(said.min(self.idle_limit)),
            });
        }
    }

    /// Closes idle connections that are too old or were ended by the upstream.
    pub(crate) fn tend(&self, now: u64) {
        self.idle
            .lock()
            .retain_mut(|idle| now < idle.until && idle.wire.is_quiet());
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
