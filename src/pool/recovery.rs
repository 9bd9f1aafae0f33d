//! What the supervisor does about processes that die, hang or stop half-way: everything here can be cut off at
//! any instruction and simply be done again.

use crate::{
    ids::{SeatIndex, SlotIndex, Ticket},
    roster::{Seat, SeatState, SeatWord},
};

use super::{
    Pool,
    dispatch::Bells,
    slot::Released,
    word::{Holder, Place, SlotWord},
};

/// What a reclaim gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reclaimed {
    /// Leases of the dead worker.
    pub leases: u64,
    /// Connections that waited in it.
    pub waiting: u64,
}

/// Takes back all that the worker of `seat` held in any of `pools`, which share their seats. Its process must have ended: a
/// live one's connections would go on using their slots. The seat is vacant afterwards, its epoch kept.
pub fn reclaim(pools: &[Pool<'_>], seat: SeatIndex, bells: &impl Bells) -> Reclaimed {
    let mut reclaimed = Reclaimed::default();
    let Some(place) = pools.first().map(|pool| &pool.seats[seat.get()]) else {
        return reclaimed;
    };
    // First of all: from now on nobody offers it anything.
    place.update_word(|word| {
        Some(SeatWord {
            state: SeatState::Dead,
            stalled: false,
            ..word
        })
    });
    for pool in pools {
        pool.take_back(seat, &mut reclaimed);
    }
    // Vacant when no pool has anything of it any more: whoever is cut off before finds the seat filled.
    place.update_word(|word| {
        Some(SeatWord {
            state: SeatState::Vacant,
            pid: 0,
            ..word
        })
    });
    // It may have died between any two steps of a release, an offer or a wake.
    for pool in pools {
        pool.sweep(bells);
    }
    wake_all(pools[0].seats, bells);
    reclaimed
}

/// Rings every filled seat: a wake may have been written but not rung.
fn wake_all(seats: &[Seat], bells: &impl Bells) {
    for (index, seat) in seats.iter().enumerate() {
        if seat.word().is_filled() {
            bells.ring(SeatIndex::new(index));
        }
    }
}

/// Passes a worker by that no longer beats: in each of `pools`, offers it has not taken up go to the next in line, its own
/// waiters keep their places. Its leases stay: their connections may still be open.
pub fn pass_by(pools: &[Pool<'_>], seat: SeatIndex, bells: &impl Bells) {
    if let Some(place) = pools.first().map(|pool| &pool.seats[seat.get()]) {
        place.update_word(|word| {
            (word.is_filled() && !word.stalled).then_some(SeatWord {
                stalled: true,
                ..word
            })
        });
    }
    // The mark says all: whoever is cut off after it is followed by a sweep that goes by it.
    for pool in pools {
        pool.sweep(bells);
    }
}

impl Pool<'_> {
    /// [`reclaim`] where there is no other pool.
    pub fn reclaim(&self, seat: SeatIndex, bells: &impl Bells) -> Reclaimed {
        reclaim(std::slice::from_ref(self), seat, bells)
    }

    /// [`pass_by`] where there is no other pool.
    pub fn pass_by(&self, seat: SeatIndex, bells: &impl Bells) {
        pass_by(std::slice::from_ref(self), seat, bells);
    }

    /// Frees what names a seat that is marked as dead, and empties its part of the line.
    fn take_back(&self, seat: SeatIndex, reclaimed: &mut Reclaimed) {
        reclaimed.waiting += self.lines[seat.get()].waiting();
        self.line_seats.clear(seat);
        self.window(seat).clear();
        for (index, slot) in self.slots.iter().enumerate() {
            let holder = slot.word().holder;
            if holder.seat() != Some(seat) {
                continue;
            }
            // What it had called spent stays out of use.
            let released = match holder {
                Holder::Leased { .. } => slot.free_spent(holder),
                _ => slot.free(holder),
            };
            reclaimed.leases +=
                u64::from(released != Released::NotHeld && matches!(holder, Holder::Leased { .. }));
            if released == Released::Idle {
                self.bitmap.set(SlotIndex::new(index));
            }
        }
    }

    /// Mends what a process left half done by dying or stopping between two steps: a free slot without its
    /// bit, an offer never told or told to nobody, a wake not rung. Offers to a worker that was passed by go to
    /// others, those included that were made while it was being marked. Harmless at any time.
    pub fn sweep(&self, bells: &impl Bells) {
        self.sweep_offers(bells, |_, _| true);
    }

    /// The same, but of the offers to workers that respond only those are completed that `is_overdue`: the others'
    /// makers are just at it, and would take back what was completed for them, out of turn. Returns all that are open.
    pub fn sweep_offers(
        &self,
        bells: &impl Bells,
        mut is_overdue: impl FnMut(usize, SlotWord) -> bool,
    ) -> Vec<(usize, SlotWord)> {
        let mut open = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let word = slot.word();
            slot.forget_ended(word);
            match word.holder {
                Holder::Free => self.mark_if_idle(index),
                Holder::Leased { .. } => {}
                Holder::Offered { seat, ticket } => {
                    let slot = SlotIndex::new(index);
                    // A seat that does not exist: no process of ours wrote that, and nobody will take it up.
                    let seat_word = self.seats.get(seat.get()).map(Seat::word);
                    if seat_word.is_none_or(|word| word.stalled) {
                        // A place that was told stays granted: only its worker may undo that, for it alone knows that
                        // it has not been granted anew meanwhile. It does so when it wakes up and finds the offer gone.
                        self.withdraw(slot, seat, ticket);
                    } else {
                        open.push((index, word));
                        if is_overdue(index, word) {
                            self.complete_for_another(slot, seat, ticket, bells);
                        }
                    }
                }
            }
        }
        self.dispatch(bells);
        open
    }

    /// Completes an offer whose maker seems to have died or stopped, or rings once more for one that was told.
    fn complete_for_another(
        &self,
        slot: SlotIndex,
        seat: SeatIndex,
        ticket: Ticket,
        bells: &impl Bells,
    ) {
        match self.window(seat).find(ticket) {
            Some((_, Place::Granted(_, granted))) if granted == slot => bells.ring(seat),
            // An offer to a place that is not shown any more completes as a withdrawal, at whatever place.
            found => {
                let at = found.map_or(0, |(at, _)| at);
                self.complete_offer(slot, seat, ticket, at, bells);
            }
        }
    }

    /// For a sweep only, which comes again: the peek may be behind. Whoever frees a slot sets its bit without one.
    fn mark_if_idle(&self, index: usize) {
        let slot = SlotIndex::new(index);
        if !self.bitmap.is_set(slot) && self.slots[index].word() == SlotWord::IDLE {
            self.bitmap.set(slot);
        }
    }
}
