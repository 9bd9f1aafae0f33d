//! The upstream: its addresses, and the idle connections kept for the next request.
//!
//! They are kept here and not by Pingora's connector, because all a worker needs is a stack: the last one used is the first one
//! reused, and no task watches over each. A token may go to the addresses of its own origin alone, so connections are
//! kept and made for an origin.

mod connect;
pub(crate) mod transport;
mod trunk;

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tpp::{
    config::{self, HostHeader, UpstreamHttp2},
    ids::Origin,
    plan::{BackendPlan, Place as Address},
};

use crate::{
    clock::millis,
    http1::write::Host,
    log::Muffler,
    upstream::{connect::Place, transport::Transport, trunk::Trunks},
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
    /// Where HTTP/2 is spoken, or may be.
    http2: Option<Arc<Http2>>,
    most_idle: AtomicUsize,
    /// What is unsent when a connection to it ends is dropped.
    drops_unsent: AtomicBool,
    /// Milliseconds after which an idle connection is closed.
    idle_limit: u64,
    muffler: Muffler,
}

/// How HTTP/2 is spoken to it.
struct Http2 {
    trunks: Trunks,
    /// It is agreed on beforehand; otherwise in the handshake of TLS.
    is_known: bool,
    /// Nothing else is spoken.
    is_must: bool,
    /// The last handshake said that it is not spoken there.
    falls_back: AtomicBool,
    /// Bound on its own handshake.
    limit: Duration,
}

struct Idle {
    link: Link,
    /// Milliseconds of the worker's clock after which it is not used any more.
    until: u64,
}

/// A connection to one address of the upstream.
pub(crate) struct Link {
    /// In a place of its own for as long as the connection is there: it changes hands twice a request.
    pub(crate) wire: Box<Wire>,
    pub(crate) address: SocketAddr,
    /// Of the tokens that may be sent there.
    pub(crate) origin: Origin,
}

impl Upstream {
    /// That of `plan`, for one of so many workers.
    pub(crate) fn new(plan: &BackendPlan, workers: usize) -> Self {
        let upstream = &plan.upstream;
        let most_idle = upstream.max_idle_connections.div_ceil(workers.max(1));
        Self {
            authority: authority(upstream),
            goes_by_own_name: match upstream.host_header {
                // Behind TLS stand those that serve by name: it must be the one in their certificate.
                HostHeader::Auto => upstream.tls,
                HostHeader::Client => false,
                HostHeader::Upstream => true,
            },
            transport: Arc::new(Transport::new(plan)),
            places: places(&plan.places, &[]),
            next: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            http2: Http2::new(upstream).map(Arc::new),
            most_idle: AtomicUsize::new(most_idle),
            drops_unsent: AtomicBool::new(false),
            idle_limit: millis(upstream.idle_timeout),
            muffler: Muffler::default(),
        }
    }

    /// The same upstream at other addresses. What is known of those it had before, and the idle connections to them, stay.
    pub(crate) fn moved(&self, addresses: &[Address]) -> Self {
        let places = places(addresses, &self.places);
        let kept = std::mem::take(&mut *self.idle.lock());
        let kept = kept
            .into_iter()
            .filter(|idle| is_among(&places, idle.link.origin, idle.link.address));
        if let Some(http2) = &self.http2 {
            let is_kept = |at| places.iter().any(|place| place.at.address == at);
            http2.trunks.leave(is_kept);
        }
        Self {
            idle: Mutex::new(kept.collect()),
            http2: self.http2.clone(),
            places,
            authority: self.authority.clone(),
            goes_by_own_name: self.goes_by_own_name,
            transport: Arc::clone(&self.transport),
            next: AtomicUsize::new(self.next.load(Relaxed)),
            most_idle: AtomicUsize::new(self.most_idle.load(Relaxed)),
            drops_unsent: AtomicBool::new(self.drops_unsent.load(Relaxed)),
            idle_limit: self.idle_limit,
            muffler: Muffler::default(),
        }
    }

    /// Most idle connections that it may have from this worker while `slots` tokens are lent: each address has no more than
    /// tokens ever were in use at once.
    pub(crate) fn most_idle(&self, slots: usize) -> usize {
        let idle = slots.saturating_mul(self.places.len());
        idle.min(self.most_idle.load(Relaxed))
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
        self.places.iter().any(|place| place.at.origin == origin)
    }

    /// Whether its name has resolved.
    pub(crate) fn has_addresses(&self) -> bool {
        !self.places.is_empty()
    }

    /// A connection that was used before and is still good, for a token of `origin`.
    pub(crate) fn reuse(&self, origin: Origin, now: u64) -> Option<Link> {
        if let Some(link) = self.share(origin) {
            return Some(link);
        }
        let mut idle = self.idle.lock();
        while let Some(at) = idle.iter().rposition(|idle| idle.link.origin == origin) {
            // The order of the others matters little, and they are few.
            let mut candidate = idle.swap_remove(at);
            if now < candidate.until && candidate.link.wire.is_quiet() {
                return Some(candidate.link);
            }
        }
        None
    }

    /// A stream of a connection that others use as well, for a token of `origin`.
    fn share(&self, origin: Origin) -> Option<Link> {
        let trunks = &self.http2.as_ref()?.trunks;
        let (branch, address) = trunks.share(|at| is_among(&self.places, origin, at))?;
        Some(Link::new(Box::new(branch), address, origin))
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
        if let Some(http2) = &self.http2 {
            http2.trunks.tend(now, self.idle_limit);
        }
        self.idle
            .lock()
            .retain_mut(|idle| now < idle.until && idle.link.wire.is_quiet());
    }

    /// Has what is unsent dropped from now on when a connection ends, and what the network swallows given up soon: a token that goes
    /// there may be another host's session next. Those made otherwise are used no more.
    pub(crate) fn drop_unsent(&self) {
        if !self.drops_unsent.load(Relaxed) {
            self.drops_unsent.store(true, Relaxed);
            self.leave_all();
        }
    }

    /// Keeps no connection any more: others are in force than those this was made of.
    pub(crate) fn retire(&self) {
        self.most_idle.store(0, Relaxed);
        self.leave_all();
    }

    /// Begins no more streams on what is open to `address`: its server refuses them, or is about to go.
    pub(crate) fn leave(&self, address: SocketAddr) {
        if let Some(http2) = &self.http2 {
            http2.trunks.leave(|at| at != address);
        }
    }

    fn leave_all(&self) {
        self.idle.lock().clear();
        if let Some(http2) = &self.http2 {
            http2.trunks.leave(|_| false);
        }
    }
}

impl Http2 {
    fn new(upstream: &config::Upstream) -> Option<Self> {
        let is_must = upstream.http2 == UpstreamHttp2::Only;
        // Without TLS there is nothing by which to agree.
        let is_spoken = is_must || upstream.http2 == UpstreamHttp2::On && upstream.tls;
        is_spoken.then(|| Self {
            trunks: Trunks::default(),
            is_known: !upstream.tls,
            is_must,
            falls_back: AtomicBool::new(false),
            limit: upstream.connect_timeout,
        })
    }
}

/// Its host, and its port if that is not the usual one.
fn authority(upstream: &config::Upstream) -> String {
    let host = &upstream.host;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let usual_port = if upstream.tls { 443 } else { 80 };
    if upstream.port == usual_port {
        host
    } else {
        format!("{host}:{}", upstream.port)
    }
}

/// Whether tokens of `origin` may go to `address`, if `places` are all that there are.
fn is_among(places: &[Arc<Place>], origin: Origin, address: SocketAddr) -> bool {
    let mut places = places.iter().map(|place| &place.at);
    places.any(|at| at.origin == origin && at.address == address)
}

/// The places at `addresses`; of those that are `known`, with what has been met there.
fn places(addresses: &[Address], known: &[Arc<Place>]) -> Vec<Arc<Place>> {
    let place = |address: &Address| {
        let known = known.iter().find(|place| place.at == *address);
        known.map_or_else(|| Arc::new(Place::new(*address)), Arc::clone)
    };
    addresses.iter().map(place).collect()
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.places.iter().map(|place| place.at.address);
        f.debug_struct("Upstream")
            .field("authority", &self.authority)
            .field("addresses", &addresses.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
