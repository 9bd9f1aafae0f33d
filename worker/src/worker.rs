//! What all connections of the worker share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tpp::{
    clients::Full,
    lending::{Desk, GivingWay, WorkerSettings},
    plan::{Plan, Sealed},
    shared::SeatCounters,
};

use crate::{
    clock::{Clock, Timer, Timers},
    door::limit::{Limit, Place},
    gateway::{doubts::Doubts, holds::Holds},
    log::Muffler,
    upstream::Upstream,
};

/// Milliseconds between two reports that the upstream is unreachable.
const RING_INTERVAL: u64 = 500;

/// The worker: one per process. All orderings in it are Relaxed, for one thread reads and writes; the atomics only make
/// it shareable in the eyes of the type system.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    view: Mutex<Arc<View>>,
    /// Of the view in force: a connection compares it with its own view's for each request.
    generation_now: AtomicU64,
    /// The same, for those who wait for the next one.
    generation: watch::Sender<u64>,
    sealed: Mutex<Arc<Sealed>>,
    /// When the supervisor was last told that the upstream is unreachable, plus one; 0: never.
    last_ring: AtomicU64,
    draining: AtomicBool,
    /// How often leases had to be looked at, and what was known at the last time.
    looks_at_leases: AtomicU64,
    summons: Mutex<u64>,
    /// No slot was free when a lease was taken, or at the last tick.
    scarce: AtomicBool,
    stopping: AtomicBool,
    stop_told: Notify,
    connections: AtomicUsize,
    emptied: Notify,
    /// Who is let in.
    pub(crate) limit: Limit,
    /// How long leases last.
    pub(crate) holds: Arc<Holds>,
    /// Which tokens may be stale.
    pub(crate) doubts: Doubts,
    /// Of what the upstream does to requests.
    pub(crate) muffler: Muffler,
    /// Of waits that end.
    pub(crate) wait_muffler: Muffler,
}

/// What is in force: the plan, and the upstream as it describes it.
#[derive(Debug)]
pub(crate) struct View {
    generation: u64,
    pub(crate) settings: WorkerSettings,
    pub(crate) upstream: Upstream,
}

impl View {
    fn new(plan: Plan, previous: Option<&Self>) -> Self {
        let upstream = match previous {
            Some(view) if view.settings.upstream == plan.settings.upstream => {
                view.upstream.moved(&plan)
            }
            _ => Upstream::new(&plan),
        };
        Self {
            generation: plan.generation,
            settings: plan.settings,
            upstream,
        }
    }

    /// Of the plan it shows.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Worker {
    /// A worker that begins with `plan`.
    pub(crate) fn new(desk: Arc<Desk>, (sealed, plan): (Sealed, Plan)) -> Arc<Self> {
        desk.show_plan(plan.generation);
        let limit = Limit::new(&desk);
        Arc::new(Self {
            desk,
            clock: Clock::new(),
            timers: Timers::default(),
            generation: watch::Sender::new(plan.generation),
            generation_now: AtomicU64::new(plan.generation),
            view: Mutex::new(Arc::new(View::new(plan, None))),
            sealed: Mutex::new(Arc::new(sealed)),
            last_ring: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            looks_at_leases: AtomicU64::new(0),
            summons: Mutex::new(0),
            scarce: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stop_told: Notify::new(),
            connections: AtomicUsize::new(0),
            emptied: Notify::new(),
            limit,
            holds: Arc::default(),
            doubts: Doubts::default(),
            muffler: Muffler::default(),
            wait_muffler: Muffler::default(),
        })
    }

    /// Its seat, as log lines name it.
    pub(crate) fn seat(&self) -> usize {
        self.desk.seat().get()
    }

    pub(crate) fn counters(&self) -> &SeatCounters {
        self.desk.counters()
    }

    /// The view in force.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    /// Brings a connection's view up to date; whether it was not. One load as long as nothing changed.
    pub(crate) fn renew(&self, view: &mut Arc<View>) -> bool {
        let is_old = view.generation != self.generation_now.load(Relaxed);
        if is_old {
            *view = self.view();
        }
        is_old
    }

    /// Acts on a plan from now on, unless it has a newer one.
    pub(crate) fn take_plan(&self, (sealed, plan): (Sealed, Plan)) {
        let mut view = self.view.lock();
        if plan.generation <= view.generation {
            return;
        }
        let generation = plan.generation;
        let new = View::new(plan, Some(&view));
        view.upstream.retire();
        *view = Arc::new(new);
        *self.sealed.lock() = Arc::new(sealed);
        self.generation_now.store(generation, Relaxed);
        drop(view);
        self.generation.send_replace(generation);
        // Last: from here on no request of this worker is begun under an older one.
        self.desk.show_plan(generation);
    }

    /// The memory file of the plan in hand, for a supervisor that takes over.
    pub(crate) fn sealed_plan(&self) -> Arc<Sealed> {
        Arc::clone(&self.sealed.lock())
    }

    /// Resolves once a plan newer than `generation` is in hand.
    pub(crate) async fn plan_after(&self, generation: u64) {
        // The sender is ours, and so lives.
        let _ = self
            .generation
            .subscribe()
            .wait_for(|now| *now > generation)
            .await;
    }

    /// Asks the supervisor to resolve the upstream's name again: a few times a second at most, however many fail.
    pub(crate) fn report_unreachable(&self) {
        let now = self.clock.now() + 1;
        let last = self.last_ring.load(Relaxed);
        if last == 0 || now >= last + RING_INTERVAL {
            self.last_ring.store(now, Relaxed);
            self.desk.report_unreachable();
        }
    }

    /// Has each connection look at its lease, if one was taken back or a deadline has come.
    pub(crate) fn look_at_leases(&self) {
        if self.desk.look_at_leases(&mut self.summons.lock()) {
            self.looks_at_leases.fetch_add(1, Relaxed);
            self.timers.wake_all();
        }
    }

    /// Rises whenever a connection is to look at its lease.
    pub(crate) fn looks_at_leases(&self) -> u64 {
        self.looks_at_leases.load(Relaxed)
    }

    /// Lets a new connection in.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let view = self.view();
        let upstream = view.upstream.most_connections(self.desk.slots());
        self.limit
            .admit(&self.desk, address, &view.settings.client, upstream)
    }

    /// After how many seconds a client may try again that is sent away for want of room.
    pub(crate) fn retry_after(&self) -> u64 {
        self.holds
            .retry_after(self.clock.now(), || self.desk.census())
    }

    /// Counts a connection in.
    pub(crate) fn enter(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.counters().connections_opened.add(1);
    }

    /// Counts a connection out.
    pub(crate) fn leave(&self, life: Duration) {
        let counters = self.counters();
        counters.connections_closed.add(1);
        counters.connection_duration.observe(life);
        if self.connections.fetch_sub(1, Relaxed) == 1 {
            self.emptied.notify_one();
        }
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Resolves once no connection is open.
    pub(crate) async fn empty(&self) {
        while self.connections() > 0 {
            self.emptied.notified().await;
        }
    }

    /// From now on each connection is closed after its next answer.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the worker drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Closes what is left.
    pub(crate) fn cut(&self) {
        self.timers.for_each(Timer::cut);
    }

    /// Tells idle connections to give way to those who wait. Returns the time until the next of them may be told; `None`:
    /// nobody waits, or none is idle here.
    pub(crate) fn relieve_crowd(&self) -> Option<Duration> {
        self.scarce.store(!self.desk.has_free(), Relaxed);
        let limit = self.view.lock().settings.lease.contended_idle?;
        let GivingWay { slots, next } = self.desk.who_gives_way(limit);
        if !slots.is_empty() {
            self.timers.for_each(|timer| {
                if timer
                    .standing
                    .idle_slot()
                    .is_some_and(|slot| slots.contains(&slot))
                {
                    timer.end_wait();
                }
            });
        }
        next
    }

    /// A lease was taken: whether it was the last one shows at once.
    pub(crate) fn note_scarcity(&self) {
        if !self.desk.has_free() {
            self.scarce.store(true, Relaxed);
        }
    }

    /// Whether the next client would have to wait.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce.load(Relaxed)
    }

    /// The supervisor's word that tpp stops, not only this worker.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.stop_told.notify_one();
    }

    /// Whether tpp stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Resolves once the supervisor said that tpp stops.
    pub(crate) async fn stop_told(&self) {
        while !self.is_stopping() {
            self.stop_told.notified().await;
        }
    }
}
