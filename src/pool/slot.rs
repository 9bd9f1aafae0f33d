//! One slot and its moves. Its word alone decides who holds it; what it stands for (a token, a mere permit) lies elsewhere.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::{
    ids::{Epoch, SeatIndex, Ticket},
    sync::AtomicU64,
};

use super::word::{Holder, SlotWord};

/// A slot as it lies in the region: two cache lines of its own, since the adjacent-line prefetcher pulls pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// [`SlotWord`].
    word: AtomicU64,
    /// The lease that is to end, as [`Holder::pack`] names it; 0: none. Only the supervisor writes it.
    ended: AtomicU64,
    reserved: [AtomicU64; 14],
}

/// Proof of a claim: the word that a release must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
    pub(crate) number: u32,
}

impl Claim {
    /// A claim of the worker that sits at `seat` under `epoch`. Its leases of one slot are told apart by the low 24 bits of
    /// `number`.
    #[must_use]
    pub fn new(seat: SeatIndex, epoch: Epoch, number: u32) -> Self {
        Self {
            seat,
            epoch,
            number: number & 0xff_ffff,
        }
    }

    fn holder(self) -> Holder {
        Holder::Leased {
            seat: self.seat,
            epoch: self.epoch,
            number: self.number,
        }
    }
}

/// What became of a slot that its holder gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Released {
    /// It is free and may be lent: its bit must be set and the line served.
    Idle,
    /// It is free, but may not be lent.
    Unusable,
    /// It was not held under this claim: the supervisor had reclaimed it.
    NotHeld,
}

impl Slot {
    /// An empty slot: free, without a token. What zeroed memory reads as.
    #[must_use]
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            reserved: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The word now.
    #[must_use]
    pub fn word(&self) -> SlotWord {
        // Acquire, pairs with Release in the moves: who reads "free" sees all that the last holder did, and may wipe
        // the token.
        SlotWord::unpack(self.word.load(Acquire))
    }

    fn exchange(&self, from: SlotWord, to: SlotWord) -> bool {
        // Acquire: the taker must see all that the last holder and the supervisor wrote to the slot.
        // Release: the next taker must see what we wrote. One ordering for all moves, since each both takes
        // and gives. Relaxed on failure: a lost race tells us nothing that we go on to read.
        self.word
            .compare_exchange(from.pack(), to.pack(), AcqRel, Relaxed)
            .is_ok()
    }

    /// Takes the slot, if it is free and usable.
    #[must_use]
    pub fn claim(&self, claim: Claim) -> bool {
        self.exchange(SlotWord::IDLE, SlotWord::IDLE.held_by(claim.holder()))
    }

    /// Sets the slot aside for a place in line, if it is free and usable.
    #[must_use]
    pub fn offer(&self, seat: SeatIndex, ticket: Ticket) -> bool {
        self.exchange(
            SlotWord::IDLE,
            SlotWord::IDLE.held_by(Holder::Offered { seat, ticket }),
        )
    }

    /// Takes up an offer. False if it was withdrawn, or the token has become unusable meanwhile.
    #[must_use]
    pub fn accept(&self, ticket: Ticket, claim: Claim) -> bool {
        let offered = SlotWord::IDLE.held_by(Holder::Offered {
            seat: claim.seat,
            ticket,
        });
        self.exchange(offered, SlotWord::IDLE.held_by(claim.holder()))
    }

    /// Ends the lease made under `claim`.
    pub fn release(&self, claim: Claim) -> Released {
        self.free(claim.holder())
    }

    /// Takes back an offer that nobody will take up.
    pub fn withdraw(&self, seat: SeatIndex, ticket: Ticket) -> Released {
        self.free(Holder::Offered { seat, ticket })
    }

    /// Frees the slot if `holder` has it, usable or not. At most one of several callers succeeds.
    pub(crate) fn free(&self, holder: Holder) -> Released {
        // Two tries cover both values of the usable bit; a third is needed only if the supervisor flips it
        // in between, and it does so a few times an hour.
        loop {
            // Relaxed: only the exchange below decides.
            let word = SlotWord::unpack(self.word.load(Relaxed));
            if word.holder != holder {
                return Released::NotHeld;
            }
            if self.exchange(word, word.held_by(Holder::Free)) {
                return if word.may_be_lent() {
                    Released::Idle
                } else {
                    Released::Unusable
                };
            }
        }
    }

    /// Marks the slot as fit to be lent. True if it is there to be had: its bit must be set and the line served.
    #[must_use]
    pub fn put_in_use(&self) -> bool {
        // Release, pairs with Acquire in `exchange`: the token published before this is seen by whoever claims. No
        // Acquire: the supervisor goes on to read nothing that a holder wrote.
        let before = SlotWord::unpack(self.word.fetch_or(SlotWord::USABLE_BIT, Release));
        before.holder == Holder::Free && !before.held_back
    }

    /// Marks the slot as not to be lent. A lease under way goes on. True if nobody has the slot.
    pub fn take_out_of_use(&self) -> bool {
        // Relaxed: the bit alone is the message, and a read-modify-write passes on what the moves before it released.
        // Who goes on to wipe the token looks at `word` for that.
        let before = self.word.fetch_and(!SlotWord::USABLE_BIT, Relaxed);
        SlotWord::unpack(before).holder == Holder::Free
    }

    /// Lends it to nobody as long as its pool is paused. A lease under way goes on.
    pub fn hold_back(&self) {
        // Relaxed: as in `take_out_of_use`.
        self.word.fetch_or(SlotWord::HELD_BACK_BIT, Relaxed);
    }

    /// Ends [`Self::hold_back`]. True if the slot is there to be had: its bit must be set and the line served.
    #[must_use]
    pub fn let_go(&self) -> bool {
        // Relaxed: nothing is published with it; who claims it next builds on the newest value of the word, and with it on all
        // that the moves before released.
        let before = SlotWord::unpack(self.word.fetch_and(!SlotWord::HELD_BACK_BIT, Relaxed));
        before.usable && before.holder == Holder::Free
    }

    /// Says that the lease under way is to end: its holder learns of it by [`Self::is_ended`]. Returns whose seat's bell must
    /// ring; `None`: nobody has the slot, or it is only on offer.
    pub fn end(&self) -> Option<SeatIndex> {
        let holder = self.word().holder;
        let Holder::Leased { seat, .. } = holder else {
            return None;
        };
        // Relaxed: the word names the lease it is about, so that no other can be meant; the bell that follows carries the order.
        self.ended.store(holder.pack(), Relaxed);
        Some(seat)
    }

    /// Whether the lease made under `claim` is to end.
    #[must_use]
    pub fn is_ended(&self, claim: Claim) -> bool {
        // Relaxed: see `end`.
        self.ended.load(Relaxed) == claim.holder().pack()
    }

    /// Forgets what was said of a lease that is over: after 2^24 others one could have its name. The supervisor's move.
    pub(crate) fn forget_ended(&self, now: SlotWord) {
        // Relaxed: the supervisor alone writes it.
        let ended = self.ended.load(Relaxed);
        if ended != 0 && ended != now.holder.pack() {
            self.ended.store(0, Relaxed);
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}
