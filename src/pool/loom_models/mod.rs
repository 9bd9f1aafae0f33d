//! Models of the pool under loom: the very code that runs, over every order of steps and every value a weak
//! memory may show, up to the preemption bound. Part of `.ci/run`; `make mutations` shows what they are good for.

use crossbeam_utils::CachePadded;
use loom::{sync::Arc, thread};

use crate::sync::AtomicU64;

use super::{line::LineKeeper, word::Place, *};

mod death;
mod meetings;
mod tokens;
mod windows;

/// A pool's words in ordinary memory.
struct Words {
    slots: Vec<Slot>,
    bitmap: Vec<CachePadded<AtomicU64>>,
    seats: Vec<Seat>,
    places: Vec<AtomicU64>,
    line_seats: Vec<CachePadded<AtomicU64>>,
    tickets: CachePadded<AtomicU64>,
}

/// Bells nobody hears: the models look at the words.
struct NoBells;

impl Bells for NoBells {
    fn ring(&self, _: SeatIndex) {}
}

impl Words {
    /// `slots` slots, all usable and free, and `seats` seats, all ready.
    fn new(slots: usize, seats: usize) -> Arc<Self> {
        let word = || CachePadded::new(AtomicU64::new(0));
        let words = Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            bitmap: vec![word()],
            seats: (0..seats).map(|_| Seat::new()).collect(),
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

    fn pool(&self) -> Pool<'_> {
        Pool {
            slots: &self.slots,
            bitmap: Bitmap::new(&self.bitmap),
            seats: &self.seats,
            places: &self.places,
            line_seats: SeatSet::new(&self.line_seats),
            tickets: &self.tickets,
        }
    }

    /// Takes a slot for `seat` before the threads begin.
    fn claimed(&self, seat: usize) -> (SlotIndex, Claim) {
        let claim = claim(seat, 1);
        (self.pool().try_claim(claim).expect("a free slot"), claim)
    }

    fn free_slots(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.word() == SlotWord::IDLE)
            .count()
    }

    fn waiting_places(&self) -> usize {
        let shown = |word: &&AtomicU64| {
            matches!(
                Place::unpack(word.load(crate::sync::Ordering::Acquire)),
                Place::Waiting(_)
            )
        };
        self.places.iter().filter(shown).count()
    }

    /// What must hold when nobody is in the middle of anything.
    fn assert_nobody_forgotten(&self) {
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

fn claim(seat: usize, number: u32) -> Claim {
    Claim {
        seat: SeatIndex::new(seat),
        epoch: Epoch::new(1),
        number,
    }
}

/// A worker: its own half of the line.
struct Worker {
    seat: usize,
    keeper: LineKeeper,
    leases: Vec<(SlotIndex, Claim)>,
    /// Who was served, in order.
    served: Vec<Ticket>,
    number: u32,
}

impl Worker {
    fn new(seat: usize) -> Self {
        Self {
            seat,
            keeper: LineKeeper::new(SeatIndex::new(seat)),
            leases: Vec::new(),
            served: Vec::new(),
            number: 100,
        }
    }

    fn join(&mut self, pool: &Pool<'_>) -> Ticket {
        let ticket = self.keeper.join(pool);
        pool.dispatch(&NoBells);
        ticket
    }

    fn leave(&mut self, pool: &Pool<'_>, ticket: Ticket) {
        if self.keeper.leave(pool, ticket) {
            pool.dispatch(&NoBells);
        }
    }

    /// Collects until nothing more falls to it, as its bell and its heart would make it do.
    fn wake_up(&mut self, pool: &Pool<'_>) {
        let _ = pool.seats[self.seat].beat(1);
        self.collect(pool);
        pool.dispatch(&NoBells);
        self.collect(pool);
    }

    fn collect(&mut self, pool: &Pool<'_>) {
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
