//! The part of a desk that is its worker's, whatever the pool: bell, heartbeat, state, counters, what the supervisor publishes.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    task::Waker,
};

use crate::{
    bells::BellBoard,
    clients::{Admitted, Bounds, Full},
    clock::monotonic_millis,
    handover::{Role, names_of},
    ids::SeatIndex,
    roster::{Seat, SeatState, SeatWord},
    shared::SeatCounters,
};

use super::desk::{Desk, unpoisoned};

/// A worker whose last heartbeat is older is not counted on: three beats were missed.
const FRESH_HEARTBEAT_MS: u64 = 300;

impl Desk {
    fn seat_words(&self) -> &Seat {
        &self.region.seats()[self.seat.get()]
    }

    /// The seat's bell. When it is readable, call [`Self::answer_bell`].
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bells.seat(self.seat)
    }

    /// Takes up what other processes granted, and wakes those who watch for a new token.
    pub fn answer_bell(&self) {
        BellBoard::silence(self.bell());
        for desk in self.shared.desks() {
            if desk.collect() {
                desk.serve();
            }
            if desk.hopeless().is_some() {
                desk.wake_waiters();
            }
        }
        let watchers = std::mem::take(&mut *unpoisoned(&self.shared.watchers));
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Says that this worker lives. To be called about every 100 ms.
    pub fn heartbeat(&self) {
        let was_passed_by = self.seat_words().beat(monotonic_millis());
        if was_passed_by {
            // The lines went on without us; our waiters count again.
            for desk in self.shared.desks() {
                desk.collect();
                desk.serve();
            }
        }
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

    /// Whether the seat is still this worker's. A supervisor that took over without finding this worker has given it away.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        let word = self.seat_words().word();
        word.epoch == self.epoch && word.is_filled()
    }

    /// The region and all bells, for a supervisor that takes over.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let region = (Role::Region, self.region.as_fd());
        std::iter::once(region)
            .chain(names_of(&self.bells))
            .collect()
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
        self.seat_words().update_word(|word| {
            (word.epoch == self.epoch && word.is_filled()).then_some(SeatWord { state, ..word })
        });
    }

    /// This worker's counters.
    #[must_use]
    pub fn counters(&self) -> &SeatCounters {
        self.region.counters(self.seat)
    }

    /// Open connections of the worker that has fewest, among the others that are ready and alive; `None`: there is no
    /// other. For sharing out new connections, so it need not be exact.
    #[must_use]
    pub fn fewest_connections(&self) -> Option<u64> {
        let now = monotonic_millis();
        let others = self
            .region
            .seats()
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

    /// Whether this worker's leases must be looked at ([`super::LeaseWatch::why_ended`]): one was taken back since `seen`, or a
    /// deadline was brought nearer. To be asked when the bell rang and at each heartbeat; `seen` is the caller's to keep, 0 at
    /// first.
    #[must_use]
    pub fn look_at_leases(&self, seen: &mut u64) -> bool {
        let summons = self.seat_words().summons();
        std::mem::replace(seen, summons) != summons
    }

    /// Shows that this worker acts on the plan of `generation`, and on none before it any more.
    pub fn show_plan(&self, generation: u64) {
        self.seat_words().show_plan(generation);
    }

    /// Asks the supervisor to resolve the upstream's name again.
    pub fn report_unreachable(&self) {
        self.region.report_unreachable();
        self.bells.ring_supervisor();
    }
}
