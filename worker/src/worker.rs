//! What all connections of the process share.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tpp::pool::{Desk, SeatCounters, WorkerSettings};
use tracing::{error, info, warn};

use crate::{
    connection::{Connection, Cut},
    upstream::Upstream,
};

/// How often the clock is read, bounds are looked at, and the supervisor is told that the worker lives.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The worker. One thread runs it: all orderings are Relaxed, all locks free; they only make it shareable in the
/// eyes of the type system.
#[derive(Debug)]
pub(crate) struct Worker {
    desk: Arc<Desk>,
    origin: Instant,
    /// Milliseconds since `origin`, as of the last tick.
    now: AtomicU64,
    view: RwLock<Arc<View>>,
    connections: Mutex<Vec<Weak<Connection>>>,
    open: AtomicUsize,
    emptied: Notify,
    draining: AtomicBool,
    upstream_is_lost: AtomicBool,
}

/// What is in force: the settings, and the upstream as they describe it.
#[derive(Debug)]
pub(crate) struct View {
    versions: Versions,
    pub(crate) settings: WorkerSettings,
    pub(crate) upstream: Upstream,
}

/// Of what a view was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    settings: u64,
    upstream: u64,
}

impl Versions {
    fn of(desk: &Desk) -> Self {
        Self { settings: desk.settings_version(), upstream: desk.upstream_version() }
    }
}

impl View {
    fn new(desk: &Desk) -> serde_json::Result<Self> {
        // The versions first: what changes afterwards is seen as a change later on.
        let versions = Versions::of(desk);
        let settings = desk.settings()?;
        let upstream = Upstream::new(&settings, &desk.upstream_addresses(), versions.settings);
        Ok(Self { versions, settings, upstream })
    }
}

impl Worker {
    /// # Errors
    /// If the supervisor has published no settings.
    pub(crate) fn new(desk: Arc<Desk>) -> serde_json::Result<Arc<Self>> {
        let view = View::new(&desk)?;
        Ok(Arc::new(Self {
            desk,
            origin: Instant::now(),
            now: AtomicU64::new(0),
            view: RwLock::new(Arc::new(view)),
            connections: Mutex::default(),
            open: AtomicUsize::new(0),
            emptied: Notify::new(),
            draining: AtomicBool::new(false),
            upstream_is_lost: AtomicBool::new(false),
        }))
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    pub(crate) fn counters(&self) -> &SeatCounters {
        self.desk.counters()
    }

    pub(crate) fn seat(&self) -> usize {
        self.desk.seat().get()
    }

    /// The time of the last tick, milliseconds since the worker began.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// The view in force.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Makes a new view if settings or addresses were published since the last. Returns it if so.
    pub(crate) fn look(&self) -> Option<Arc<View>> {
        if self.view.read().versions == Versions::of(&self.desk) {
            return None;
        }
        match View::new(&self.desk) {
            Ok(view) => {
                let view = Arc::new(view);
                *self.view.write() = Arc::clone(&view);
                Some(view)
            }
            Err(error) => {
                error!(worker = self.seat(), %error, "published settings are unreadable, the old ones go on");
                None
            }
        }
    }

    /// Says that the worker lives, and ends the connections that are over a bound.
    pub(crate) fn tick(&self) {
        self.desk.heartbeat();
        let now = millis(self.origin.elapsed());
        self.now.store(now, Relaxed);
        let view = self.view();
        self.connections.lock().retain(|connection| {
            let connection = connection.upgrade();
            connection.inspect(|connection| connection.tick(&view, now)).is_some()
        });
    }

    /// Counts a connection in.
    pub(crate) fn enter(&self, connection: &Arc<Connection>) {
        self.open.fetch_add(1, Relaxed);
        self.counters().connections_opened.add(1);
        self.connections.lock().push(Arc::downgrade(connection));
    }

    /// Counts a connection out.
    pub(crate) fn leave(&self, age: Duration) {
        let counters = self.counters();
        counters.connections_closed.add(1);
        counters.connection_duration.observe(age);
        if self.open.fetch_sub(1, Relaxed) == 1 {
            self.emptied.notify_one();
        }
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Resolves once no connection is open.
    pub(crate) async fn empty(&self) {
        while self.open() > 0 {
            self.emptied.notified().await;
        }
    }

    /// From now on each connection is closed after its next answer.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.desk.set_draining();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Ends all connections that are left. Returns how many.
    pub(crate) fn cut_all(&self) -> usize {
        let left: Vec<_> = self.connections.lock().iter().filter_map(Weak::upgrade).collect();
        left.iter().for_each(|connection| connection.order(Cut::Drain));
        left.len()
    }

    /// The upstream could not be reached. Said once, until it can be again.
    pub(crate) fn note_unreachable(&self, reason: &str) {
        self.desk.report_unreachable();
        if !self.upstream_is_lost.swap(true, Relaxed) {
            warn!(worker = self.seat(), reason, "upstream unreachable");
        }
    }

    /// The upstream was reached.
    pub(crate) fn note_reached(&self) {
        if self.upstream_is_lost.load(Relaxed) {
            self.upstream_is_lost.store(false, Relaxed);
            info!(worker = self.seat(), "upstream reachable again");
        }
    }
}
