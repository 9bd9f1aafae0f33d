//! A pool in ordinary memory and workers on it: what the models, and the tests under Miri and the sanitizers, run on.

use crossbeam_utils::CachePadded;
#[cfg(tpp_loom)]
use loom::sync::Arc;
#[cfg(not(tpp_loom))]
use std::sync::Arc;

use crate::{
    roster::{SeatState, SeatWord},
    shared::TokenWords,
    sync::AtomicU64,
};

use super::{line::LineKeeper, word::Place, *};

/// Small, so that the models reach its end.
pub(super) const WINDOW: usize = 2;

/// A pool's words in ordinary memory.
pub(super) struct Words {
    pub(super) slots: Vec<Slot>,
    /// What the slots stand for.
    pub(super) tokens: Vec<TokenWords>,
    pub(super) bitmap: Vec<CachePadded<AtomicU64>>,
    pub(super) seats: Vec<Seat>,
    pub(super) lines: Vec<SeatLine>,
    pub(super) places: Vec<AtomicU64>,
    pub(super) line_seats: Vec<CachePadded<AtomicU64>>,
    pub(super) tickets: CachePadded<AtomicU64>,
}

/// Bells nobody hears: the models look at the words.
pub(super) struct NoBells;

impl Bells for NoBells {
    fn ring(&self, _: SeatIndex) {}
}

impl Words {
    /// `slots` slots, all usable and free, and `seats` seats, all ready.
    pub(super) fn new(slots: usize, seats: usize) -> Arc<Self> {
        let word = || CachePadded::new(AtomicU64::new(0));
        let words = Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            tokens: (0..slots).map(|_| TokenWords::new()).collect(),
            bitmap: vec![word()],
            seats: (0..seats).map(|_| Seat::new()).collect(),
            lines: (0..seats).map(|_| SeatLine::new()).collect(),
            places: (0..seats * WINDOW).map(|_| AtomicU64::new(0)).collect(),
            line_seats: vec![word()],
            tickets: word(),
        };
        for (index, slot) in words.slots.iter().enumerate() {
            assert!(slot.put_in_use());
            words.pool().bitmap.set(SlotIndex::new(index));
        }
        for seat in &words.seats {
            let epoch = Epoch::new(1);
            seat.set_word(SeatWord {
                state: SeatState::Ready,
                stalled: false,
                epoch,
                pid: 1,
            });
        }
        Arc::new(words)
    }

    pub(super) fn pool(&self) -> Pool<'_> {
        Pool {
            slots: &self.slots,
            bitmap: Bitmap::new(&self.bitmap),
            seats: &self.seats,
            lines: &self.lines,
            window: WINDOW,
            places: &self.places,
            line_seats: SeatSet::new(&self.line_seats),
            tickets: &self.tickets,
        }
    }

    /// Takes a slot for `seat` before the threads begin.
    #[cfg(tpp_loom)]
    pub(super) fn claimed(&self, seat: usize) -> (SlotIndex, Claim) {
        let claim = claim(seat, 1);
        (self.pool().try_claim(claim).expect("a free slot"), claim)
    }

    pub(super) fn free_slots(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.word() == SlotWord::IDLE)
            .count()
    }

    pub(super) fn waiting_places(&self) -> usize {
        let shown = |word: &&AtomicU64| {
            matches!(
                Place::unpack(word.load(std::sync::atomic::Ordering::Acquire)),
                Place::Waiting(_)
            )
        };
        self.places.iter().filter(shown).count()
    }

    /// What must hold when nobody is in the middle of anything.
    pub(super) fn assert_nobody_forgotten(&self) {
        let (free, waiting) = (self.free_slots(), self.waiting_places());
        assert!(
            free == 0 || waiting == 0,
            "{free} slots free while {waiting} wait"
        );
        for (index, slot) in self.slots.iter().enumerate() {
            let marked = self.pool().bitmap.is_set(SlotIndex::new(index));
            assert!(
                slot.word() != SlotWord::IDLE || marked,
                "a free slot without its bit"
            );
        }
    }
}

pub(super) fn claim(seat: usize, number: u32) -> Claim {
    Claim {
        seat: SeatIndex::new(seat),
        epoch: Epoch::new(1),
        number,
    }
}

/// A worker: its own half of the line.
pub(super) struct Worker {
    seat: usize,
    pub(super) keeper: LineKeeper,
    pub(super) leases: Vec<(SlotIndex, Claim)>,
    /// Who was served, in order.
    pub(super) served: Vec<Ticket>,
    number: u32,
}

impl Worker {
    pub(super) fn new(seat: usize) -> Self {
        Self {
            seat,
            keeper: LineKeeper::new(SeatIndex::new(seat), &SeatLine::new()),
            leases: Vec::new(),
            served: Vec::new(),
            number: 100,
        }
    }

    pub(super) fn join(&mut self, pool: &Pool<'_>) -> Ticket {
        let ticket = self.keeper.join(pool);
        pool.dispatch(&NoBells);
        ticket
    }

    pub(super) fn leave(&mut self, pool: &Pool<'_>, ticket: Ticket) {
        if self.keeper.leave(pool, ticket) {
            pool.dispatch(&NoBells);
        }
    }

    /// Collects until nothing more falls to it, as its bell and its heart would make it do.
    #[cfg(tpp_loom)]
    pub(super) fn wake_up(&mut self, pool: &Pool<'_>) {
        let _ = pool.seats[self.seat].beat(1);
        self.collect(pool);
        pool.dispatch(&NoBells);
        self.collect(pool);
    }

    pub(super) fn collect(&mut self, pool: &Pool<'_>) {
        loop {
            let mut collected = Vec::new();
            let Self { seat, number, .. } = self;
            let next = || {
                *number += 1;
                claim(*seat, *number)
            };
            let serve = self.keeper.collect(pool, next, &mut collected);
            self.leases
                .extend(collected.iter().map(|taken| (taken.slot, taken.claim)));
            self.served
                .extend(collected.iter().map(|taken| taken.ticket));
            if !serve {
                return;
            }
            pool.dispatch(&NoBells);
        }
    }
}
