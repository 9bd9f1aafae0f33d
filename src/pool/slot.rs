//! One slot and its moves. Its word alone decides who holds it; all else here may lag.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::sync::AtomicU64;

use super::{
    ids::{Epoch, SeatIndex, Ticket},
    word::{Holder, SlotWord},
};

/// A slot as it lies in the region: two cache lines of its own, since the adjacent-line prefetcher pulls pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// [`SlotWord`].
    word: AtomicU64,
    /// Version of the token in [`super::Publication`]'s terms.
    pub(crate) token_version: AtomicU64,
    /// Token version that the upstream refused; 0: none. Written by holders, read by the supervisor.
    refused: AtomicU64,
    /// Logins for this slot that failed. Written by the supervisor, watched by a holder that waits for a new token.
    failures: AtomicU64,
    /// Requests sent with this slot. Only its holder writes it.
    uses: AtomicU64,
    /// Key of the account whose slot it is; 0: nobody's. For a supervisor that takes over.
    account: AtomicU64,
    /// When the token was drawn, milliseconds of the monotonic clock. For a supervisor that takes over.
    drawn_at: AtomicU64,
    /// Since when its holder asks nothing of it, milliseconds of the monotonic clock; 0: it is at work. Only its holder writes it.
    idle_since: AtomicU64,
    /// Token version that must not be lent again: the upstream may still work for whoever had it. 0: none. Written by
    /// holders, read by the supervisor, which logs in anew: see [`Self::is_spent`].
    spent: AtomicU64,
    /// Token version for which no new login is to be waited for; 0: none. Written by the supervisor, read by holders.
    put_off: AtomicU64,
    /// Token version under which a refusal is the application's own; 0: none.
    vouched: AtomicU64,
    /// When that was found, milliseconds of the monotonic clock.
    vouched_at: AtomicU64,
    /// Token version that has had an answer other than a refusal; 0: none. Written by holders, read by the supervisor.
    served: AtomicU64,
    /// Its link in [`super::Suspects`].
    pub(super) link: AtomicU64,
    /// Rest of its account after a refused login, in [`Rest`]'s packing; 0: none. For a supervisor that takes over.
    rest: AtomicU64,
    reserved: [AtomicU64; 1],
}

/// Until when an account is not to be tried again, as one supervisor notes it for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Milliseconds of [`crate::clock::boot_millis`].
    pub until: u64,
    /// A few bits of the password that was refused, so that another one is tried at once. So few that they tell nothing.
    pub tag: u8,
}

impl Rest {
    const TAG_SHIFT: u32 = 56;

    fn pack(self) -> u64 {
        u64::from(self.tag) << Self::TAG_SHIFT | self.until & ((1 << Self::TAG_SHIFT) - 1)
    }

    fn unpack(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            until: word & ((1 << Self::TAG_SHIFT) - 1),
            tag: word.to_be_bytes()[0],
        })
    }
}

/// Proof of a claim: the word that a release must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
    pub(crate) number: u32,
}

impl Claim {
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
    /// It is free, but its token may not be lent.
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
            token_version: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            account: AtomicU64::new(0),
            drawn_at: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            vouched: AtomicU64::new(0),
            vouched_at: AtomicU64::new(0),
            served: AtomicU64::new(0),
            link: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            spent: AtomicU64::new(0),
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

    /// Says that token `version` must not be lent again once this lease ends, however it ends; 0: it may after all. Only the
    /// holder may call it. A holder that dies has said so to whoever frees the slot in its stead.
    pub fn mark_spent(&self, version: u64) {
        // Relaxed: what follows on this slot's word passes it on (AcqRel in `exchange`); after a death, the death does.
        self.spent.store(version, Relaxed);
    }

    /// Whether the slot is out of use because its token is spent: it comes back into use with a new one
    /// ([`Self::put_in_use`]) and by nothing else. A spent token that is replaced while it is still held is spent no more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        // Acquire in `word`, pairs with the exchange in `retire`: who sees the slot out of use sees why.
        !self.word().usable && self.has_spent_token()
    }

    fn has_spent_token(&self) -> bool {
        // Acquire, pairs with Release in `Publication::publish`: see `retire`.
        let version = self.token_version.load(Acquire);
        // Relaxed: see `mark_spent`.
        version != 0 && self.spent.load(Relaxed) == version
    }

    /// Ends the lease made under `claim`, whose token `version` must not be lent again. The slot goes out of use in the same
    /// exchange, unless a newer token is in it already. [`Released::Unusable`]: the supervisor must be told.
    pub fn retire(&self, claim: Claim, version: u64) -> Released {
        self.mark_spent(version);
        self.free_spent(claim.holder())
    }

    /// Frees the slot if `holder` has it: out of use if its token is spent, as it is otherwise.
    pub(crate) fn free_spent(&self, holder: Holder) -> Released {
        if !self.has_spent_token() {
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
            };
            if self.exchange(word, out_of_use) {
                break;
            }
        }
        // A login that ended between the look at the version and the exchange has put the slot in use for nothing: its
        // `put_in_use` came before our exchange, which acquires what it released, so the new version is seen here. Its token
        // is called spent, too, and the supervisor logs in once more. If `put_in_use` came after the exchange, the slot is in
        // use, and the note says nothing.
        self.mark_spent(self.token_version.load(Acquire));
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
                return if word.usable {
                    Released::Idle
                } else {
                    Released::Unusable
                };
            }
        }
    }

    /// Marks the token as fit to be lent. True if the slot is free: its bit must be set and the line served.
    #[must_use]
    pub fn put_in_use(&self) -> bool {
        // Release, pairs with Acquire in `exchange`: the token published before this is seen by whoever claims. No
        // Acquire: the supervisor goes on to read nothing that a holder wrote.
        let before = self.word.fetch_or(SlotWord::USABLE_BIT, Release);
        SlotWord::unpack(before).holder == Holder::Free
    }

    /// Marks the token as not to be lent. A lease under way goes on. True if nobody has the slot.
    pub fn take_out_of_use(&self) -> bool {
        // Relaxed: the bit alone is the message, and a read-modify-write passes on what the moves before it released.
        // Who goes on to wipe the token looks at `word` for that.
        let before = self.word.fetch_and(!SlotWord::USABLE_BIT, Relaxed);
        SlotWord::unpack(before).holder == Holder::Free
    }

    /// Records that the upstream refused token `version`. True if that is news.
    pub fn report_refused(&self, version: u64) -> bool {
        // Relaxed: a number on its own; the supervisor compares it with the version it published itself.
        self.refused.swap(version, Relaxed) != version
    }

    /// Token version last refused by the upstream; 0: none.
    #[must_use]
    pub fn refused(&self) -> u64 {
        // Relaxed: see `report_refused`.
        self.refused.load(Relaxed)
    }

    /// Counts a failed login; only the supervisor may call it.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn count_failure(&self) {
        // Relaxed load and store: one writer.
        self.failures
            .store(self.failures().wrapping_add(1), Relaxed);
    }

    /// Logins for this slot that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        // Relaxed: the bell that follows a failure carries the order.
        self.failures.load(Relaxed)
    }

    /// Says that no new token is to be waited for under `version`; 0 says that one is again. Only the supervisor may call it.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn put_off(&self, version: u64) {
        // Relaxed: the bell that follows carries the order, and an old value costs a holder a wait it sets a bound to.
        self.put_off.store(version, Relaxed);
    }

    /// Whether no new token is to be waited for under `version`.
    #[must_use]
    pub fn is_put_off(&self, version: u64) -> bool {
        // Relaxed: see `put_off`.
        self.put_off.load(Relaxed) == version
    }

    /// Notes at `now` that refusals of token `version` are the application's own.
    pub fn vouch(&self, version: u64, now: u64) {
        // Relaxed, the time first: whoever reads an older time with the new version only asks for a login too early.
        self.vouched_at.store(now, Relaxed);
        self.vouched.store(version, Relaxed);
    }

    /// When refusals of token `version` were found to be the application's own.
    #[must_use]
    pub fn vouched_at(&self, version: u64) -> Option<u64> {
        // Relaxed: see `vouch`.
        (self.vouched.load(Relaxed) == version).then(|| self.vouched_at.load(Relaxed))
    }

    /// Notes that token `version` had an answer other than a refusal; only the holder may call it.
    pub fn note_served(&self, version: u64) {
        // Relaxed: a number on its own.
        self.served.store(version, Relaxed);
    }

    /// Whether token `version` had an answer other than a refusal.
    #[must_use]
    pub fn has_served(&self, version: u64) -> bool {
        // Relaxed: see `note_served`.
        self.served.load(Relaxed) == version
    }

    /// Counts a request sent with this slot; only the holder may call it.
    pub fn count_use(&self) {
        // Relaxed load and store, no read-modify-write: the holder is the only writer, and the hand-over of
        // the slot itself (AcqRel) orders one holder's count before the next one's.
        self.uses
            .store(self.uses.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Requests sent with this slot.
    #[must_use]
    pub fn uses(&self) -> u64 {
        // Relaxed: a number for people.
        self.uses.load(Relaxed)
    }

    /// Notes since when the holder asks nothing of the slot, milliseconds of the monotonic clock; 0: it is at work. Only the
    /// holder may call it, and each new one begins with 0: a holder that was killed leaves its note behind.
    pub fn note_idle(&self, since: u64) {
        // Relaxed: a hint by which connections are ranked; what it leads to is an ordinary release.
        self.idle_since.store(since, Relaxed);
    }

    /// Since when the holder, if there is one, asks nothing of the slot; `None`: it is at work.
    #[must_use]
    pub fn idle_since(&self) -> Option<u64> {
        // Relaxed: see `note_idle`.
        Some(self.idle_since.load(Relaxed)).filter(|&since| since != 0)
    }
}

#[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
impl Slot {
    // All Relaxed: notes of one supervisor to the next, which reads them when the writer is dead.

    pub(crate) fn set_account(&self, key: u64) {
        self.account.store(key, Relaxed);
    }

    pub(crate) fn account(&self) -> u64 {
        self.account.load(Relaxed)
    }

    pub(crate) fn set_drawn_at(&self, millis: u64) {
        self.drawn_at.store(millis, Relaxed);
    }

    pub(crate) fn drawn_at(&self) -> u64 {
        self.drawn_at.load(Relaxed)
    }

    pub(crate) fn set_rest(&self, rest: Option<Rest>) {
        self.rest.store(rest.map_or(0, Rest::pack), Relaxed);
    }

    pub(crate) fn rest(&self) -> Option<Rest> {
        Rest::unpack(self.rest.load(Relaxed))
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}
