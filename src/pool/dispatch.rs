//! Giving slots out: at once to a newcomer when nobody waits, else to whoever has waited longest.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crossbeam_utils::CachePadded;

use crate::{
    ids::{SeatIndex, SlotIndex, Ticket},
    sync::{AtomicU64, fence},
};

use super::{
    Pool,
    bitmap::WORD_BITS,
    line::{Front, Window},
    slot::{Claim, Released, Slot},
};

/// How a process makes a worker look at its part of the line.
pub trait Bells {
    /// Rings for `seat`. May be called more often than needed.
    fn ring(&self, seat: SeatIndex);
}

/// A set of seats, one bit each.
#[derive(Debug, Clone, Copy)]
pub struct SeatSet<'a>(&'a [CachePadded<AtomicU64>]);

impl<'a> SeatSet<'a> {
    /// Over `words`, 64 seats each.
    #[must_use]
    pub fn new(words: &'a [CachePadded<AtomicU64>]) -> Self {
        Self(words)
    }

    fn word(self, seat: SeatIndex) -> (&'a AtomicU64, u64) {
        (
            &self.0[seat.get() / WORD_BITS],
            1 << (seat.get() % WORD_BITS),
        )
    }

    /// Adds `seat`. Only its worker does.
    pub(crate) fn set(self, seat: SeatIndex) {
        let (word, bit) = self.word(seat);
        // Relaxed: the fence in `Pool::dispatch` orders it. The peek spares the others' caches.
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// Drops `seat`. Only its worker does, or the supervisor after its death.
    pub(crate) fn clear(self, seat: SeatIndex) {
        let (word, bit) = self.word(seat);
        // Relaxed: as in `set`.
        word.fetch_and(!bit, Relaxed);
    }

    /// Whether the set is empty.
    pub(crate) fn is_empty(self) -> bool {
        // Relaxed: ordered by the fences of the callers.
        self.0.iter().all(|word| word.load(Relaxed) == 0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = SeatIndex> + 'a {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            // Relaxed: ordered by the fences of the callers.
            let mut bits = word.load(Relaxed);
            std::iter::from_fn(move || {
                let bit = bits.checked_ilog2()?;
                bits &= !(1 << bit);
                Some(SeatIndex::new(at * WORD_BITS + bit as usize))
            })
        })
    }
}

impl<'a> Pool<'a> {
    pub(crate) fn window(&self, seat: SeatIndex) -> Window<'a> {
        let at = seat.get() * self.window;
        Window::new(&self.lines[seat.get()], &self.places[at..at + self.window])
    }

    /// A free slot for a newcomer, if there is one and nobody waits.
    #[must_use]
    pub fn try_claim(&self, claim: Claim) -> Option<SlotIndex> {
        // One who joins at this very moment has not been overtaken: we were here first.
        if !self.line_seats.is_empty() {
            return None;
        }
        self.take(claim.seat, |slot| slot.claim(claim))
    }

    /// Gives a slot back and serves the line.
    pub fn release(&self, slot: SlotIndex, claim: Claim, bells: &impl Bells) -> Released {
        let released = self.slots[slot.get()].release(claim);
        if released == Released::Idle {
            self.bitmap.set(slot);
            self.dispatch(bells);
        }
        released
    }

    /// Gives a slot back whose token `version` must not be lent again: [`Slot::retire`].
    pub fn retire(
        &self,
        slot: SlotIndex,
        claim: Claim,
        version: u64,
        bells: &impl Bells,
    ) -> Released {
        let released = self.slots[slot.get()].retire(claim, version);
        if released == Released::Idle {
            self.bitmap.set(slot);
            self.dispatch(bells);
        }
        released
    }

    /// Serves the line: as long as a slot is free and somebody waits, the one who has waited longest is
    /// granted it and its seat's bell is rung. Whoever freed a slot or began to wait calls this afterwards.
    pub fn dispatch(&self, bells: &impl Bells) {
        loop {
            // SeqCst fence, pairs with itself in every other process. The caller wrote either a free slot's bit or a
            // place in line; the loads below look for the other. Of two processes that do this at once the one whose fence
            // comes second in the total order of fences sees what the first had written. Acquire and
            // Release cannot give that: they let both loads run ahead of both stores (x86 does so, too).
            fence(SeqCst);
            if self.line_seats.is_empty() || !self.bitmap.any() {
                return;
            }
            let Some((seat, front)) = self.oldest() else {
                return;
            };
            let Front::Shown(ticket, at) = front else {
                // Its worker clears the window as soon as it has collected, and dispatches then.
                return;
            };
            let Some(slot) = self.take(seat, |slot| slot.offer(seat, ticket)) else {
                return;
            };
            self.complete_offer(slot, seat, ticket, at, bells);
        }
    }

    /// The first slot that is marked and that `try_slot` can have.
    fn take(&self, seat: SeatIndex, try_slot: impl Fn(&Slot) -> bool) -> Option<SlotIndex> {
        // The bitmap's last word has bits for slots that do not exist.
        self.bitmap.take(self.starting_word(seat), |slot| {
            self.slots.get(slot.get()).is_some_and(&try_slot)
        })
    }

    /// The seats in which somebody waits, of those that exist.
    pub(crate) fn line(&self) -> impl Iterator<Item = SeatIndex> + 'a {
        let seats = self.seats.len();
        self.line_seats
            .iter()
            .filter(move |seat| seat.get() < seats)
    }

    /// Who has waited longest, among the seats that respond.
    fn oldest(&self) -> Option<(SeatIndex, Front)> {
        self.line()
            .filter(|seat| self.seats[seat.get()].word().takes_offers())
            .filter_map(|seat| Some((seat, self.window(seat).front()?)))
            .min_by_key(|(_, front)| front.ticket())
    }

    /// Second half of an offer, which anybody may do: tell the place, or, if it no longer waits, free the slot.
    pub(crate) fn complete_offer(
        &self,
        slot: SlotIndex,
        seat: SeatIndex,
        ticket: Ticket,
        at: usize,
        bells: &impl Bells,
    ) {
        match self.window(seat).grant(at, ticket, slot) {
            Ok(()) => bells.ring(seat),
            Err(_) => {
                // It left, was granted another, or its worker died. Or it was granted this very slot: by a sweep, for us,
                // or under an earlier offer that was withdrawn. Its worker may just be giving that up and would not
                // see ours; a grant that turns out void costs it one more round. A slot taken up is not touched.
                self.withdraw(slot, seat, ticket);
            }
        }
    }

    /// Takes back an offer that nobody will take up, and marks its slot. True if the slot is there for others now.
    pub(crate) fn withdraw(&self, slot: SlotIndex, seat: SeatIndex, ticket: Ticket) -> bool {
        let offered = self.slots.get(slot.get());
        let idle = offered.is_some_and(|it| it.withdraw(seat, ticket) == Released::Idle);
        if idle {
            self.bitmap.set(slot);
        }
        idle
    }

    /// Spreads the workers over the bitmap's words, so that they seldom meet in one.
    fn starting_word(&self, seat: SeatIndex) -> usize {
        seat.get() % self.bitmap.words().max(1)
    }
}
