//! One slot and its moves. Its word alone decides who holds it; what it stands for (a token, a mere permit) lies elsewhere.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::{
    ids::{Epoch, SeatIndex, Ticket},
    shared::{Held, HolderNote, Tenure},
    sync::AtomicU64,
};

use super::word::{Holder, SlotWord};

/// A slot as it lies in the region: two cache lines of its own, since the adjacent-line prefetcher pulls pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// [`SlotWord`].
    word: AtomicU64,
    /// Version of what the slot stands for, in [`crate::shared::Publication`]'s terms; 0: nothing, or what has no versions.
    pub(crate) version: AtomicU64,
    /// Version that must not be lent again: the upstream may still work for whoever had it. 0: none. Written by holders, read
    /// by the supervisor, which puts something new there: see [`Self::is_spent`].
    spent: AtomicU64,
    /// The lease that is to end, as [`Holder::pack`] names it; 0: none. Only the supervisor writes it.
    ended: AtomicU64,
    /// [`Tenure`]: by which right this host has it. Only the supervisor writes it.
    tenure: AtomicU64,
    reserved: [AtomicU64; 3],
    /// How its holder has it, as long as that is the one that the word names. In the other cache line.
    holder: HolderNote,
    reserved_too: [AtomicU64; 4],
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
            version: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            tenure: AtomicU64::new(0),
            reserved: std::array::from_fn(|_| AtomicU64::new(0)),
            holder: HolderNote::new(),
            reserved_too: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The word now.
    #[must_use]
    pub fn word(&self) -> SlotWord {
        // Acquire, pairs with Release in the moves: who reads "free" sees all that the last holder did, and may wipe
        // the token.
        SlotWord::unpack(self.word.load(Acquire))
    }

    /// Notes how the holder under `claim` has it. Only that one may call it.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no leases"))]
    pub(crate) fn note_holder(&self, claim: Claim, held: Held) {
        self.holder.write(claim.holder().pack(), held);
    }

    /// How `holder` has it, if it has said so.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn note_of(&self, holder: Holder) -> Option<Held> {
        self.holder.read(holder.pack())
    }

    /// How the holder under `claim` has it.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no leases"))]
    pub(crate) fn held_by(&self, claim: Claim) -> Option<Held> {
        self.note_of(claim.holder())
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

    /// Says that `version` must not be lent again once this lease ends, however it ends; 0: it may after all. Only the
    /// holder may call it. A holder that dies has said so to whoever frees the slot in its stead.
    pub fn mark_spent(&self, version: u64) {
        // Relaxed: what follows on this slot's word passes it on (AcqRel in `exchange`); after a death, the death does.
        self.spent.store(version, Relaxed);
    }

    /// Whether the slot is out of use because what it stands for is spent: it comes back into use with a new one
    /// ([`Self::put_in_use`]) and by nothing else. What is replaced while it is still held is spent no more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        // Acquire in `word`, pairs with the exchange in `retire`: who sees the slot out of use sees why.
        !self.word().usable && self.has_spent_version()
    }

    fn has_spent_version(&self) -> bool {
        // Acquire, pairs with Release in `Publication::publish`: see `retire`.
        let version = self.version.load(Acquire);
        // Relaxed: see `mark_spent`.
        version != 0 && self.spent.load(Relaxed) == version
    }

    /// Ends the lease made under `claim`, whose `version` must not be lent again. The slot goes out of use in the same
    /// exchange, unless a newer token is in it already. [`Released::Unusable`]: the supervisor must be told.
    pub fn retire(&self, claim: Claim, version: u64) -> Released {
        self.mark_spent(version);
        self.free_spent(claim.holder())
    }

    /// Frees the slot if `holder` has it: out of use if what it stands for is spent, as it is otherwise.
    pub(crate) fn free_spent(&self, holder: Holder) -> Released {
        if !self.has_spent_version() {
            return self.free(holder);
        }
        loop {
            // Relaxed: only the exchange below decides.
            let word = SlotWord::unpack(self.word.load(Relaxed));
            if word.holder != holder {
                return Released::NotHeld;
            }
            let out_of_use = SlotWord {
                usable: false,
                holder: Holder::Free,
                ..word
            };
            if self.exchange(word, out_of_use) {
                break;
            }
        }
        // A login that ended between the look at the version and the exchange has put the slot in use for nothing: its
        // `put_in_use` came before our exchange, which acquires what it released, so the new version is seen here. It
        // is called spent, too, and the supervisor logs in once more. If `put_in_use` came after the exchange, the slot is in
        // use, and the note says nothing.
        self.mark_spent(self.version.load(Acquire));
        Released::Unusable
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

    /// Lends it to nobody as long as its pool is paused, or the time of its tenure over. A lease under way goes on.
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

    /// Whether the lease made under `claim` is under way.
    #[must_use]
    pub fn is_held_under(&self, claim: Claim) -> bool {
        self.word().holder == claim.holder()
    }

    /// Whether the lease made under `claim` is to end.
    #[must_use]
    pub fn is_ended(&self, claim: Claim) -> bool {
        // Relaxed: see `end`.
        self.ended.load(Relaxed) == claim.holder().pack()
    }

    /// By which right this host has it; `None`: it is this host's alone.
    #[must_use]
    pub fn tenure(&self) -> Option<Tenure> {
        // Relaxed: whether it is one changes only while nobody can have the slot, before `put_in_use`, whose Release a claim
        // acquires. From one to the other it is a number on its own; the bell that follows carries the order.
        Tenure::unpack(self.tenure.load(Relaxed))
    }

    /// Says by which right this host has it. Whether it is by any changes only while the slot is out of use and free.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn set_tenure(&self, tenure: Option<Tenure>) {
        // Relaxed: see `tenure`.
        self.tenure.store(Tenure::pack(tenure), Relaxed);
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
