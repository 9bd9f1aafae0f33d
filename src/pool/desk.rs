//! A worker's half of the pool: it leases, waits in line, and gives back.

mod crowd;
mod lease;

use std::{
    cell::Cell,
    collections::HashMap,
    fmt,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
};

use crate::{
    bells::BellBoard,
    clients::{Admitted, Bounds, Full},
    clock::monotonic_millis,
    handover::Role,
    region::Region,
};

use super::{
    Bells, Census, Pool, SeatCounters, SeatState,
    ids::{Epoch, SeatIndex, SlotIndex, Ticket},
    line::{Collected, LineKeeper},
    seat::SeatWord,
    slot::Claim,
};

pub use crowd::GivingWay;
pub use lease::{Lease, Refreshed, Waiting};

/// A worker whose last heartbeat is older is not counted on: three beats were missed.
const FRESH_HEARTBEAT_MS: u64 = 300;

/// One worker's access to the pool. A process has one.
pub struct Desk {
    region: Arc<Region>,
    bells: BellBoard,
    seat: SeatIndex,
    epoch: Epoch,
    /// Names leases apart; in this process's own memory.
    next_number: AtomicU32,
    line: Mutex<Line>,
    /// Futures that watch for a new token.
    refresh_watchers: Mutex<Vec<Waker>>,
}

/// Those of this worker who wait.
struct Line {
    keeper: LineKeeper,
    waiters: HashMap<Ticket, Waiter>,
}

struct Waiter {
    joined: u64,
    waker: Option<Waker>,
    granted: Option<(SlotIndex, Claim)>,
}

/// Rings other workers; a grant to this worker is only noted, since it collects right away.
struct OwnBellNoted<'a> {
    desk: &'a Desk,
    own: Cell<bool>,
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
    /// Sits down at `seat`, which the supervisor has filled under `epoch` for this process.
    #[must_use]
    pub fn new(region: Arc<Region>, bells: BellBoard, seat: SeatIndex, epoch: Epoch) -> Arc<Self> {
        let line = Line {
            keeper: LineKeeper::new(seat),
            waiters: HashMap::new(),
        };
        Arc::new(Self {
            region,
            bells,
            seat,
            epoch,
            next_number: AtomicU32::new(0),
            line: Mutex::new(line),
            refresh_watchers: Mutex::new(Vec::new()),
        })
    }

    /// Its seat.
    #[must_use]
    pub fn seat(&self) -> SeatIndex {
        self.seat
    }

    fn pool(&self) -> Pool<'_> {
        self.region.pool()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing that holds the guard can panic half-way through a change; a poisoned lock is as good as any.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_claim(&self) -> Claim {
        // Relaxed: the number has only to differ from that of this worker's last lease of the same slot.
        Claim {
            seat: self.seat,
            epoch: self.epoch,
            number: self.next_number.fetch_add(1, Relaxed) & 0xff_ffff,
        }
    }

    /// A free slot at once, if there is one and nobody waits.
    #[must_use]
    pub fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        let claim = self.next_claim();
        self.pool()
            .try_claim(claim)
            .map(|slot| self.lease(slot, claim))
    }

    fn lease(self: &Arc<Self>, slot: SlotIndex, claim: Claim) -> Lease {
        self.counters().acquisitions.add(1);
        self.pool().slots[slot.get()].note_idle(0);
        Lease {
            desk: Arc::clone(self),
            slot,
            claim,
            spent: None,
        }
    }

    /// Stands in line: strictly in order of arrival, over all workers. Dropping the future leaves the line.
    pub fn join(self: &Arc<Self>) -> Waiting {
        let mut line = self.line();
        let ticket = line.keeper.join(&self.pool());
        let waiter = Waiter {
            joined: monotonic_millis(),
            waker: None,
            granted: None,
        };
        line.waiters.insert(ticket, waiter);
        self.note_oldest(&line);
        drop(line);
        self.serve();
        Waiting {
            desk: Arc::clone(self),
            ticket: Some(ticket),
        }
    }

    /// How many accounts there are, if the upstream refuses them all and no token is left to wait for. Whoever waits is woken
    /// when that comes about.
    #[must_use]
    pub fn hopeless(&self) -> Option<u64> {
        self.region.hopeless()
    }

    /// Connections in line, over all workers.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.pool().waiting()
    }

    /// Serves the line, and takes up what falls to this worker, until nothing more does.
    fn serve(&self) {
        loop {
            let bells = OwnBellNoted {
                desk: self,
                own: Cell::new(false),
            };
            self.pool().dispatch(&bells);
            if !(bells.own.get() && self.collect()) {
                return;
            }
        }
    }

    /// Takes up what was granted. True if the line must be served again.
    fn collect(&self) -> bool {
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

    fn note_oldest(&self, line: &Line) {
        let oldest = line
            .keeper
            .first_waiting()
            .and_then(|ticket| line.waiters.get(&ticket));
        let since = oldest.map_or(0, |waiter| waiter.joined);
        // Relaxed: a number for people.
        self.pool().seats[self.seat.get()]
            .oldest_since
            .store(since, crate::sync::Ordering::Relaxed);
    }

    /// The seat's bell. When it is readable, call [`Self::answer_bell`].
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bells.seat(self.seat)
    }

    /// Takes up what other processes granted, and wakes those who watch for a new token.
    pub fn answer_bell(&self) {
        BellBoard::silence(self.bell());
        if self.collect() {
            self.serve();
        }
        let watchers = std::mem::take(
            &mut *self
                .refresh_watchers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        watchers.into_iter().for_each(Waker::wake);
        if self.hopeless().is_some() {
            self.wake_waiters();
        }
    }

    /// Has all who wait here look whether it is worth it.
    fn wake_waiters(&self) {
        let mut line = self.line();
        let waiters = line.waiters.values_mut();
        let wakers: Vec<_> = waiters.filter_map(|waiter| waiter.waker.take()).collect();
        drop(line);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Says that this worker lives. To be called about every 100 ms.
    pub fn heartbeat(&self) {
        let was_passed_by = self.pool().seats[self.seat.get()].beat(monotonic_millis());
        if was_passed_by {
            // The line went on without us; our waiters count again.
            self.collect();
            self.serve();
        }
    }

    /// Whether the seat is still this worker's. A supervisor that took over without finding this worker has given it away.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        let word = self.pool().seats[self.seat.get()].word();
        word.epoch == self.epoch && word.is_filled()
    }

    /// The region and all bells, for a supervisor that takes over.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let region = (Role::Region, self.region.as_fd());
        std::iter::once(region).chain(self.bells.named()).collect()
    }

    /// Says that this worker serves.
    pub fn set_ready(&self) {
        self.set_state(SeatState::Ready);
    }

    /// Says that this worker accepts nothing new.
    pub fn set_draining(&self) {
        self.set_state(SeatState::Draining);
    }

    fn set_state(&self, state: SeatState) {
        self.pool().seats[self.seat.get()].update_word(|word| {
            (word.epoch == self.epoch && word.is_filled()).then_some(SeatWord { state, ..word })
        });
    }

    /// This worker's counters.
    #[must_use]
    pub fn counters(&self) -> &SeatCounters {
        self.region.counters(self.seat)
    }

    /// Counts a new client connection in, or says which bound is reached.
    ///
    /// # Errors
    /// See [`Clients::admit`](crate::clients::Clients::admit).
    pub fn admit(&self, address: IpAddr, bounds: Bounds) -> Result<Admitted, Full> {
        self.region.clients().admit(self.seat, address, bounds)
    }

    /// Counts it out, unless the seat, and with it the count, is another's meanwhile.
    pub fn let_go(&self, admitted: Admitted) {
        if self.is_seated() {
            self.region.clients().leave(self.seat, admitted);
        }
    }

    /// Slots that are or were configured.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.region.slots_used()
    }

    /// The pool in numbers.
    #[must_use]
    pub fn census(&self) -> Census {
        self.pool().census()
    }

    /// Open connections of the worker that has fewest, among the others that are ready and alive; `None`: there is no
    /// other. For sharing out new connections, so it need not be exact.
    #[must_use]
    pub fn fewest_connections(&self) -> Option<u64> {
        let now = monotonic_millis();
        let others = self
            .pool()
            .seats
            .iter()
            .enumerate()
            .filter(|(index, seat)| {
                let word = seat.word();
                *index != self.seat.get()
                    && word.state == SeatState::Ready
                    && !word.stalled
                    && now.saturating_sub(seat.heartbeat()) < FRESH_HEARTBEAT_MS
            });
        others
            .map(|(index, _)| {
                let counters = self.region.counters(SeatIndex::new(index));
                // Closed first: a connection that ends in between must not make the difference negative.
                let closed = counters.connections_closed.get();
                counters.connections_opened.get().saturating_sub(closed)
            })
            .min()
    }

    /// Generation of the plan in force. One that is newer than the worker's own is on its way to it.
    #[must_use]
    pub fn plan_generation(&self) -> u64 {
        self.region.plan_generation()
    }

    /// Shows that this worker acts on the plan of `generation`.
    pub fn show_plan(&self, generation: u64) {
        self.pool().seats[self.seat.get()].show_plan(generation);
    }

    /// Asks the supervisor to resolve the upstream's name again.
    pub fn report_unreachable(&self) {
        self.region.report_unreachable();
        self.bells.ring_supervisor();
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("seat", &self.seat)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
