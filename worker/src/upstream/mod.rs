//! The upstream: its addresses, and the idle connections kept for the next request.
//!
//! They are kept here and not by Pingora's connector, because all a worker needs is a stack: the last one used is the first one
//! reused, and no task watches over each. A token may go to the addresses of its own origin alone, so connections are
//! kept and made for an origin.

mod connect;
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
use tpp::{
    config::HostHeader,
    plan::{Backend, Plan},
    pool::Origin,
};

use crate::{
    clock::millis,
    http1::write::Host,
    log::Muffler,
    upstream::{connect::Place, transport::Transport},
    wire::Wire,
};

/// How much sooner than its server says a connection is given up: a request that is under way when the server closes is lost.
const HINT_MARGIN: Duration = Duration::from_secs(1);

/// The upstream as one plan describes it.
pub(crate) struct Upstream {
    /// Its host, and its port if that is not the usual one.
    authority: String,
    /// It gets its own name as `Host`, not the one that the client asks for.
    goes_by_own_name: bool,
    transport: Arc<Transport>,
    places: Vec<Arc<Place>>,
    /// Index of the place to begin with.
    next: AtomicUsize,
    idle: Mutex<Vec<Idle>>,
    most_idle: AtomicUsize,
    /// Milliseconds after which an idle connection is closed.
    idle_limit: u64,
    connect_timeout: Duration,
    muffler: Muffler,
}

struct Idle {
    link: Link,
    /// Milliseconds of the worker's clock after which it is not used any more.
    until: u64,
}

/// A connection to one address of the upstream.
pub(crate) struct Link {
    pub(crate) wire: Wire,
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) fn new(plan: &Plan) -> Self {
        let transport = Arc::new(Transport::new(&plan.settings.upstream));
        Self::over(transport, plan, |_| None)
    }

    /// The same upstream at other addresses. What is known of those it had before, and the idle connections to them, stay.
    pub(crate) fn moved(&self, plan: &Plan) -> Self {
        let known = |backend: &Backend| {
            let is_it = |place: &&Arc<Place>| place.backend == *backend;
            self.places.iter().find(is_it).cloned()
        };
        let moved = Self::over(Arc::clone(&self.transport), plan, known);
        let kept = std::mem::take(&mut *self.idle.lock());
        let kept = kept.into_iter().filter(|idle| {
            let is_it = |place: &Arc<Place>| place.backend.address == idle.link.address;
            moved.places.iter().any(is_it)
        });
        *moved.idle.lock() = kept.collect();
        moved
    }

    fn over(
        transport: Arc<Transport>,
        plan: &Plan,
        known: impl Fn(&Backend) -> Option<Arc<Place>>,
    ) -> Self {
        let settings = &plan.settings;
        let places = plan.backends.iter();
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
            places: places
                .map(|backend| known(backend).unwrap_or_else(|| Arc::new(Place::new(*backend))))
                .collect(),
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

    /// Whether tokens of `origin` may be sent to any of its addresses.
    pub(crate) fn serves(&self, origin: Origin) -> bool {
        self.places
            .iter()
            .any(|place| place.backend.origin == origin)
    }

    /// Whether its name has resolved.
    pub(crate) fn has_addresses(&self) -> bool {
        !self.places.is_empty()
    }

    /// A connection that was used before and is still good, for a token of `origin`.
    pub(crate) fn reuse(&self, origin: Origin, now: u64) -> Option<Link> {
        let mut idle = self.idle.lock();
        let fits = |idle: &Idle| {
            let is_it = |place: &Arc<Place>| {
                place.backend.origin == origin && place.backend.address == idle.link.address
            };
            self.places.iter().any(is_it)
        };
        while let Some(at) = idle.iter().rposition(fits) {
            // The order of the others matters little, and they are few.
            let mut candidate = idle.remove(at);
            if now < candidate.until && candidate.link.wire.is_quiet() {
                return Some(candidate.link);
            }
        }
        None
    }

    /// Keeps a connection on which the last exchange ended in order, for as long as ours are kept and, less a margin, its
    /// server said that it does.
    pub(crate) fn keep(&self, mut link: Link, said: Option<Duration>, now: u64) {
        let said = said.map_or(u64::MAX, |said| millis(said.saturating_sub(HINT_MARGIN)));
        if said == 0 {
            return;
        }
        link.wire.forget_buffers();
        let mut idle = self.idle.lock();
        if idle.len() < self.most_idle.load(Relaxed) {
            idle.push(Idle {
                link,
                until: now.saturating_add(said.min(self.idle_limit)),
            });
        }
    }

    /// Closes idle connections that are too old or were ended by the upstream.
    pub(crate) fn tend(&self, now: u64) {
        self.idle
            .lock()
            .retain_mut(|idle| now < idle.until && idle.link.wire.is_quiet());
    }

    /// Keeps no connection any more: others are in force than those this was made of.
    pub(crate) fn retire(&self) {
        self.most_idle.store(0, Relaxed);
        self.idle.lock().clear();
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.places.iter().map(|place| place.backend.address);
        f.debug_struct("Upstream")
            .field("authority", &self.authority)
            .field("addresses", &addresses.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
