//! What all connections of the worker share.

pub(crate) mod budget;
pub(crate) mod doubts;
mod inside;
mod neighbours;

use std::{
    net::{IpAddr, SocketAddr},
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
    clock::boot_millis,
    config::Client,
    lending::{Desk, GivingWay, Tenancy},
    plan::{Plan, Sealed},
    shared::SeatCounters,
};
use tracing::error;

use self::{budget::Retries, doubts::Doubts, neighbours::Neighbours};
use crate::{
    access_log::AccessLog,
    admission::{
        churn::Churn,
        gates::{Gate, Gates},
        handshakes::Handshakes,
        limit::{Limit, Place},
    },
    clock::Clock,
    fence,
    leash::Looks,
    log::Muffler,
    rarely::seldom,
    request_id::Ids,
    timers::{Timer, Timers},
    view::{View, pool::TokenPool},
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
    /// At leases, by all connections.
    pub(crate) looks: Looks,
    /// What was known at the last of them.
    summons: Mutex<u64>,
    stopping: AtomicBool,
    stop_told: Notify,
    /// Requests that try another backend.
    pub(crate) retries: Retries,
    connections: AtomicUsize,
    /// Of connections.
    pub(crate) churn: Churn,
    emptied: Notify,
    /// Who is let in.
    pub(crate) limit: Limit,
    /// How, where it is not plainly; `None`: it is everywhere.
    gates: Mutex<Option<Arc<Gates>>>,
    /// Whether a request may be an authority's that checks on a host: a request looks at no more, as long as none is.
    pub(crate) has_answers: AtomicBool,
    /// Those under way.
    pub(crate) handshakes: Handshakes,
    /// Which tokens may be stale.
    pub(crate) doubts: Doubts,
    /// Of what the upstream does to requests.
    pub(crate) muffler: Muffler,
    /// Of waits that end.
    pub(crate) wait_muffler: Muffler,
    /// Names for requests.
    pub(crate) ids: Ids,
    pub(crate) access_log: AccessLog,
    pub(crate) neighbours: Neighbours,
}

impl Worker {
    /// A worker that begins with `plan`.
    pub(crate) fn new(desk: Arc<Desk>, (sealed, plan): (Sealed, Plan)) -> Arc<Self> {
        desk.show_plan(plan.generation);
        let limit = Limit::new(&desk);
        let generation = plan.generation;
        let view = View::new(plan, &desk, None);
        let looks = Looks::new(desk.seat().get());
        let access_log = AccessLog::default();
        let neighbours = Neighbours::new(&desk);
        access_log.follow(&view.settings);
        Arc::new(Self {
            desk,
            clock: Clock::new(),
            timers: Timers::default(),
            generation: watch::Sender::new(generation),
            generation_now: AtomicU64::new(generation),
            view: Mutex::new(Arc::new(view)),
            sealed: Mutex::new(Arc::new(sealed)),
            last_ring: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            looks,
            summons: Mutex::new(0),
            stopping: AtomicBool::new(false),
            stop_told: Notify::new(),
            retries: Retries::default(),
            connections: AtomicUsize::new(0),
            churn: Churn::default(),
            emptied: Notify::new(),
            limit,
            gates: Mutex::new(None),
            has_answers: AtomicBool::new(false),
            handshakes: Handshakes::default(),
            doubts: Doubts::default(),
            muffler: Muffler::default(),
            wait_muffler: Muffler::default(),
            ids: Ids::new(),
            access_log,
            neighbours,
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
        let is_old = self.is_ahead_of(view);
        if is_old {
            *view = self.view();
        }
        is_old
    }

    /// Whether another plan is in force than the one that `view` shows.
    pub(crate) fn is_ahead_of(&self, view: &View) -> bool {
        seldom(view.generation() != self.generation_now.load(Relaxed))
    }

    /// Acts on a plan from now on, unless it has a newer one.
    pub(crate) fn take_plan(&self, (sealed, plan): (Sealed, Plan)) {
        let mut view = self.view.lock();
        if plan.generation <= view.generation() {
            return;
        }
        let generation = plan.generation;
        let new = View::new(plan, &self.desk, Some(&view));
        self.access_log.follow(&new.settings);
        view.retire();
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
        let mut changes = self.generation.subscribe();
        // The sender is ours, and so lives.
        let _ = changes.wait_for(|now| *now > generation).await;
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

    /// Has each connection look at its lease, if one was taken back or a deadline brought nearer.
    pub(crate) fn look_at_leases(&self) {
        if self.desk.look_at_leases(&mut self.summons.lock()) {
            self.look_at_deadlines();
            self.have_all_look();
        }
    }

    fn have_all_look(&self) {
        self.looks.call();
        self.timers.wake_all();
    }

    /// Does what the deadlines ask of slots that this host shares with others: what has lapsed is lent no more, a connection that asks
    /// nothing of such a slot is closed, what is still under way later is cut off, and the kernel is told when to end this process
    /// should it be stopped. Nothing of it where there are none.
    pub(crate) fn look_at_deadlines(&self) {
        let Tenancy {
            kill_at,
            lapsed,
            is_cut,
        } = self.desk.look_at_deadlines(boot_millis());
        if let Err(error) = fence::set(kill_at) {
            // The one that is set is nearer: this process ends too soon, not too late.
            error!(worker = self.seat(), %error, "the time to be ended at cannot be put off");
        }
        if is_cut {
            self.have_all_look();
        }
        if !lapsed.is_empty() {
            self.timers.for_each(|timer| {
                let holds = timer.standing.idle_slot();
                if holds.is_some_and(|slot| lapsed.contains(&slot)) {
                    timer.end_wait();
                }
            });
        }
    }

    /// Lets a new connection in.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let view = self.view();
        let upstream = view.most_upstream_connections(self.limit.descriptors());
        self.limit
            .admit(&self.desk, address, &view.settings.client, upstream)
    }

    /// Lets a new connection in that a proxy brings: its address is not the client's.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(crate) fn admit_proxy(&self, address: IpAddr) -> Result<Place, Full> {
        let view = self.view();
        let upstream = view.most_upstream_connections(self.limit.descriptors());
        let client = Client {
            max_connections_per_address: None,
            ..view.settings.client.clone()
        };
        self.limit.admit(&self.desk, address, &client, upstream)
    }

    /// Whether what `address` says of its clients is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.view().settings.trusted_proxies.contains(address)
    }

    /// Lets clients in by these gates from now on.
    pub(crate) fn take_gates(&self, gates: Gates) {
        let has_answers = gates.challenges.has_answers();
        *self.gates.lock() = Some(Arc::new(gates));
        self.has_answers.store(has_answers, Relaxed);
    }

    /// All gates, if there are any.
    pub(crate) fn gates(&self) -> Option<Arc<Gates>> {
        self.gates.lock().clone()
    }

    /// The one at `address`; `None`: clients come in plainly there.
    pub(crate) fn gate(&self, address: SocketAddr) -> Option<Arc<Gate>> {
        self.gates.lock().as_ref()?.at(address)
    }

    /// A port where TLS is spoken, if there is one.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.gates.lock().as_ref()?.https_port()
    }

    /// After how many seconds a client may try again that is sent away for want of room.
    pub(crate) fn retry_after(&self) -> u64 {
        let pool = self.view().pools().first().cloned();
        pool.map_or(1, |pool| pool.retry_after(self.clock.now()))
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

    /// From now on each connection is closed after its next answer; those of HTTP/2 tell their clients at once.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.timers.wake_all();
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
        let view = self.view();
        view.pools()
            .iter()
            .filter_map(|pool| self.relieve_line(pool))
            .min()
    }

    /// The same for those who wait for one pool's tokens.
    fn relieve_line(&self, pool: &TokenPool) -> Option<Duration> {
        pool.note_scarcity();
        let GivingWay { slots, next } = pool.desk.who_gives_way(pool.plan.lease.contended_idle?);
        if !slots.is_empty() {
            let id = pool.desk.pool_id();
            self.timers.for_each(|timer| {
                let holds = timer.standing.idle_slot();
                if holds.is_some_and(|(of, slot)| of == id && slots.contains(&slot)) {
                    timer.end_wait();
                }
            });
        }
        next
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
