//! A worker's half of a pool: it leases, waits in line, and gives back.

use std::{
    cell::Cell,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
};

use crate::{
    bells::BellBoard,
    ids::{Epoch, PoolId, SeatIndex, SlotIndex, Ticket},
    pool::{Bells, Census, Claim, Collected, LineKeeper, Pool, Slot},
    region::{PoolParts, Region},
    shared::{Hopeless, PoolSeat, Publication, Terms, TokenWords},
};

/// One worker's access to one pool. Those of one worker share its seat.
pub struct Desk {
    pub(super) region: Arc<Region>,
    pub(super) bells: Arc<BellBoard>,
    pub(super) seat: SeatIndex,
    pub(super) epoch: Epoch,
    parts: PoolParts,
    line: Mutex<Line>,
    pub(super) shared: Arc<Shared>,
}

/// What all desks of a worker share.
#[derive(Default)]
pub(super) struct Shared {
    /// Names leases apart; in this process's own memory.
    next_number: AtomicU32,
    /// Those that are open.
    desks: Mutex<Vec<Weak<Desk>>>,
    /// Futures that watch for a new token.
    pub(super) watchers: Mutex<Vec<Waker>>,
}

impl Shared {
    /// The worker's open desks.
    pub(super) fn desks(&self) -> Vec<Arc<Desk>> {
        let mut desks = unpoisoned(&self.desks);
        desks.retain(|desk| desk.strong_count() > 0);
        desks.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Nothing that holds such a guard can panic half-way through a change; a poisoned lock is as good as any.
pub(super) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those of this worker who wait.
pub(super) struct Line {
    pub(super) keeper: LineKeeper,
    pub(super) waiters: HashMap<Ticket, Waiter>,
}

pub(super) struct Waiter {
    pub(super) joined: u64,
    pub(super) waker: Option<Waker>,
    pub(super) granted: Option<(SlotIndex, Claim)>,
}

/// Rings other workers; a grant to this worker is only noted, since it collects right away.
pub(super) struct OwnBellNoted<'a> {
    desk: &'a Desk,
    own: Cell<bool>,
}

impl<'a> OwnBellNoted<'a> {
    pub(super) fn new(desk: &'a Desk) -> Self {
        Self {
            desk,
            own: Cell::new(false),
        }
    }

    pub(super) fn rang(&self) -> bool {
        self.own.get()
    }
}

impl Bells for OwnBellNoted<'_> {
    fn ring(&self, seat: SeatIndex) {
        if seat == self.desk.seat {
            self.own.set(true);
        } else {
            self.desk.bells.ring(seat);
        }
    }
}

impl Desk {
    /// Sits down at `seat`, which the supervisor has filled under `epoch` for this process, and opens the default pool.
    #[must_use]
    pub fn new(region: Arc<Region>, bells: BellBoard, seat: SeatIndex, epoch: Epoch) -> Arc<Self> {
        let parts = *region.default_pool();
        let shared = Arc::default();
        Self::at(region, Arc::new(bells), (seat, epoch), parts, shared)
    }

    /// This worker's desk of another pool, the same one as long as anybody has it; `None`: there is no such pool.
    #[must_use]
    pub fn open(&self, pool: PoolId) -> Option<Arc<Self>> {
        let is_open = |desk: &Arc<Self>| desk.parts.id() == pool;
        if let Some(desk) = self.shared.desks().into_iter().find(is_open) {
            return Some(desk);
        }
        let parts = self.region.find_pool(pool)?;
        Some(Self::at(
            Arc::clone(&self.region),
            Arc::clone(&self.bells),
            (self.seat, self.epoch),
            parts,
            Arc::clone(&self.shared),
        ))
    }

    fn at(
        region: Arc<Region>,
        bells: Arc<BellBoard>,
        (seat, epoch): (SeatIndex, Epoch),
        parts: PoolParts,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let line = Line {
            keeper: LineKeeper::new(seat, &region.pool_at(&parts).lines[seat.get()]),
            waiters: HashMap::new(),
        };
        let desk = Arc::new(Self {
            region,
            bells,
            seat,
            epoch,
            parts,
            line: Mutex::new(line),
            shared,
        });
        unpoisoned(&desk.shared.desks).push(Arc::downgrade(&desk));
        desk
    }

    /// Its seat.
    #[must_use]
    pub fn seat(&self) -> SeatIndex {
        self.seat
    }

    /// Its pool.
    #[must_use]
    pub fn pool_id(&self) -> PoolId {
        self.parts.id()
    }

    /// Places of the line that it shows: how many grants it can be behind.
    #[must_use]
    pub fn window(&self) -> usize {
        self.parts.geometry().window
    }

    pub(super) fn pool(&self) -> Pool<'_> {
        self.region.pool_at(&self.parts)
    }

    /// Slots that are or were configured.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.pool().slots.len()
    }

    /// The pool in numbers.
    #[must_use]
    pub fn census(&self) -> Census {
        self.pool().census()
    }

    /// What holds for its pool as a whole.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        self.region.terms_at(&self.parts)
    }

    /// Its worker's part of what is counted of the pool.
    pub(super) fn part(&self) -> Option<&PoolSeat> {
        let seats = self.region.pool_seats_at(&self.parts);
        seats.get(self.seat.get())
    }

    pub(super) fn slot(&self, slot: SlotIndex) -> &Slot {
        &self.region.slots_at(&self.parts)[slot.get()]
    }

    pub(super) fn token(&self, slot: SlotIndex) -> Publication<'_> {
        self.region.token_at(&self.parts, slot)
    }

    pub(super) fn token_version(&self, slot: SlotIndex) -> u64 {
        self.region.token_version_at(&self.parts, slot)
    }

    pub(super) fn tokens(&self) -> &[TokenWords] {
        self.region.tokens_at(&self.parts)
    }

    pub(super) fn token_words(&self, slot: SlotIndex) -> &TokenWords {
        &self.tokens()[slot.get()]
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        unpoisoned(&self.line)
    }

    pub(super) fn next_claim(&self) -> Claim {
        // Relaxed: the number has only to differ from that of this worker's last lease of the same slot.
        Claim::new(
            self.seat,
            self.epoch,
            self.shared.next_number.fetch_add(1, Relaxed),
        )
    }

    /// Whether there is no token to wait for, and why. Whoever waits is woken when that comes about.
    #[must_use]
    pub fn hopeless(&self) -> Option<Hopeless> {
        self.terms().hopeless()
    }

    /// Connections in line, over all workers.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.pool().waiting()
    }

    /// Serves the line, and takes up what falls to this worker, until nothing more does.
    pub(super) fn serve(&self) {
        loop {
            let bells = OwnBellNoted::new(self);
            self.pool().dispatch(&bells);
            if !(bells.rang() && self.collect()) {
                return;
            }
        }
    }

    /// Takes up what was granted. True if the line must be served again.
    pub(super) fn collect(&self) -> bool {
        let mut collected = Vec::new();
        let mut wakers = Vec::new();
        let mut line = self.line();
        let serve = line
            .keeper
            .collect(&self.pool(), || self.next_claim(), &mut collected);
        for Collected {
            ticket,
            slot,
            claim,
        } in collected
        {
            let waiter = line
                .waiters
                .get_mut(&ticket)
                .expect("who is shown in the window waits here");
            waiter.granted = Some((slot, claim));
            wakers.extend(waiter.waker.take());
        }
        self.note_oldest(&line);
        drop(line);
        // After the guard: a waker may run anything.
        wakers.into_iter().for_each(Waker::wake);
        serve
    }

    /// Has all who wait here look whether it is worth it.
    pub(super) fn wake_waiters(&self) {
        let mut line = self.line();
        let waiters = line.waiters.values_mut();
        let wakers: Vec<_> = waiters.filter_map(|waiter| waiter.waker.take()).collect();
        drop(line);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts `slot` before the supervisor: its token was refused, or is spent.
    pub(super) fn suspect(&self, slot: SlotIndex) {
        self.region.suspects_at(&self.parts).push(slot);
        self.bells.ring_supervisor();
    }

    pub(super) fn note_oldest(&self, line: &Line) {
        let oldest = line
            .keeper
            .first_waiting()
            .and_then(|ticket| line.waiters.get(&ticket));
        let since = oldest.map_or(0, |waiter| waiter.joined);
        self.pool().lines[self.seat.get()].note_oldest(since);
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("pool", &self.parts.id())
            .field("seat", &self.seat)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
