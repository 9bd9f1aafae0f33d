//! What a slot of a token pool stands for, beside the word that says who holds it.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// The words of one slot's token, two cache lines of their own: a holder writes here while others fight for the slot's word.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct TokenWords {
    /// Token version that the upstream refused; 0: none. Written by holders, read by the supervisor.
    refused: AtomicU64,
    /// Logins for this slot that failed. Written by the supervisor, watched by a holder that waits for a new token.
    failures: AtomicU64,
    /// Requests sent with this slot. Only its holder writes it.
    uses: AtomicU64,
    /// Key of the account whose slot it is; 0: nobody's. For a supervisor that takes over.
    account: AtomicU64,
    /// When the token was drawn, milliseconds of [`crate::clock::boot_millis`]. For a supervisor that takes over.
    drawn_at: AtomicU64,
    /// Since when its holder asks nothing of it, milliseconds of the monotonic clock; 0: it is at work. Only its holder writes it.
    idle_since: AtomicU64,
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
    /// How long the server said that its token is good for, milliseconds; 0: it did not say. For a supervisor that takes over.
    life: AtomicU64,
    /// Until when the upstream wants its token spared, milliseconds of [`crate::clock::boot_millis`]; 0: not at all. Written by
    /// holders and by the supervisor, read by both.
    spared_until: AtomicU64,
    /// When the last request was sent with it, milliseconds of the monotonic clock; 0: never. Only its holder writes it.
    last_used: AtomicU64,
    /// When the token came in, milliseconds of the monotonic clock; 0: not since the region is of this version. Written by the supervisor.
    came_at: AtomicU64,
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

impl TokenWords {
    /// No token yet. What zeroed memory reads as.
    #[must_use]
    pub fn new() -> Self {
        Self {
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
            life: AtomicU64::new(0),
            spared_until: AtomicU64::new(0),
            last_used: AtomicU64::new(0),
            came_at: AtomicU64::new(0),
        }
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

    /// Says that the upstream wants the token spared until then, milliseconds of the boot clock; 0: no longer.
    pub fn spare_until(&self, until: u64) {
        // Relaxed: a number on its own; the bell that follows carries the order, and whoever reads an old one asks the upstream
        // once too often.
        self.spared_until.store(until, Relaxed);
    }

    /// Until when the upstream wants the token spared, milliseconds of the boot clock, be it past or not; 0: not at all.
    #[must_use]
    pub fn spared_until(&self) -> u64 {
        // Relaxed: see `spare_until`.
        self.spared_until.load(Relaxed)
    }

    /// Counts a request sent with this slot at `now`, milliseconds of the monotonic clock; only the holder may call it.
    pub fn count_use(&self, now: u64) {
        // Relaxed: a number for people.
        self.last_used.store(now, Relaxed);
        // Relaxed load and store, no read-modify-write: the holder is the only writer, and the hand-over of
        // the slot itself orders one holder's count before the next one's.
        self.uses
            .store(self.uses.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Requests sent with this slot.
    #[must_use]
    pub fn uses(&self) -> u64 {
        // Relaxed: a number for people.
        self.uses.load(Relaxed)
    }

    /// When the last request was sent with this slot, milliseconds of the monotonic clock; `None`: never.
    #[must_use]
    pub fn last_used(&self) -> Option<u64> {
        // Relaxed: see `count_use`.
        Some(self.last_used.load(Relaxed)).filter(|&at| at != 0)
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
impl TokenWords {
    // All Relaxed: the supervisor alone writes them. A failure is followed by a bell, which carries the order; the rest are
    // notes of one supervisor to the next, which reads them when the writer is dead.

    /// Counts a failed login.
    pub(crate) fn count_failure(&self) {
        self.failures
            .store(self.failures().wrapping_add(1), Relaxed);
    }

    pub(crate) fn set_account(&self, key: u64) {
        self.account.store(key, Relaxed);
    }

    pub(crate) fn account(&self) -> u64 {
        self.account.load(Relaxed)
    }

    pub(crate) fn set_drawn_at(&self, millis: u64) {
        self.drawn_at.store(millis, Relaxed);
    }

    pub(crate) fn set_came_at(&self, millis: u64) {
        self.came_at.store(millis, Relaxed);
    }

    pub(crate) fn came_at(&self) -> u64 {
        self.came_at.load(Relaxed)
    }

    pub(crate) fn drawn_at(&self) -> u64 {
        self.drawn_at.load(Relaxed)
    }

    pub(crate) fn set_life(&self, millis: u64) {
        self.life.store(millis, Relaxed);
    }

    pub(crate) fn life(&self) -> u64 {
        self.life.load(Relaxed)
    }

    pub(crate) fn set_rest(&self, rest: Option<Rest>) {
        self.rest.store(rest.map_or(0, Rest::pack), Relaxed);
    }

    pub(crate) fn rest(&self) -> Option<Rest> {
        Rest::unpack(self.rest.load(Relaxed))
    }
}

impl Default for TokenWords {
    fn default() -> Self {
        Self::new()
    }
}
