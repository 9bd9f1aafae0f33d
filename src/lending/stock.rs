//! The supervisor's half of a pool: it stocks slots with tokens, and says what may be lent, and until when.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    bells::BellBoard,
    clock::{boot_millis, monotonic_millis},
    ids::{Origin, PoolId, SlotIndex},
    pool::{Bells, Holder, Pool},
    region::{PoolParts, Region},
    shared::{
        Hopeless, Publication, Rest, Suspects, Terms, TokenWords, TooLong, publish_token,
        read_token,
    },
};

use super::offers::Sweeps;

/// What a supervisor finds in a slot that another one stocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legacy {
    /// Key of the account whose it was; `None`: nobody's.
    pub account: Option<u64>,
    /// Version of its token; 0: it never had one.
    pub version: u64,
    /// Whether the token may be lent.
    pub is_usable: bool,
    /// Time since the token was drawn, suspended time included.
    pub age: Duration,
    /// How long its server said that it is good for, if it said so.
    pub expires_in: Option<Duration>,
    /// Rest of its account after a refused login.
    pub rest: Option<Rest>,
    /// Where it was drawn.
    pub origin: Origin,
}

/// The supervisor's access to one pool of a region, and through it to all of the region. One process at a time may have it.
#[derive(Debug)]
pub struct Stock {
    pub(super) region: Arc<Region>,
    pub(super) bells: Arc<BellBoard>,
    parts: PoolParts,
    pub(super) sweeps: Arc<Mutex<Sweeps>>,
}

impl Stock {
    /// Takes charge of a region, and of its default pool.
    #[must_use]
    pub fn new(region: Arc<Region>, bells: BellBoard) -> Self {
        Self {
            parts: *region.default_pool(),
            region,
            bells: Arc::new(bells),
            sweeps: Arc::default(),
        }
    }

    /// The same of another pool; `None`: there is no such pool.
    #[must_use]
    pub fn open(&self, pool: PoolId) -> Option<Self> {
        self.region.find_pool(pool).map(|parts| self.at(parts))
    }

    pub(super) fn at(&self, parts: PoolParts) -> Self {
        Self {
            region: Arc::clone(&self.region),
            bells: Arc::clone(&self.bells),
            parts,
            sweeps: Arc::clone(&self.sweeps),
        }
    }

    pub(super) fn parts(&self) -> &PoolParts {
        &self.parts
    }

    /// Its pool.
    #[must_use]
    pub fn pool_id(&self) -> PoolId {
        self.parts.id()
    }

    /// What holds for its pool as a whole.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        self.region.terms_at(&self.parts)
    }

    fn token(&self, slot: SlotIndex) -> Publication<'_> {
        self.region.token_at(&self.parts, slot)
    }

    pub(super) fn token_words(&self, slot: SlotIndex) -> &TokenWords {
        &self.region.tokens_at(&self.parts)[slot.get()]
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Slots of its pool that are or were configured.
    #[must_use]
    pub fn slots_used(&self) -> usize {
        self.terms().slots_used().min(self.room())
    }

    /// Says how many slots are configured. Slots are only ever added; one that is no longer configured stays, empty.
    pub fn set_slots_used(&self, slots: usize) {
        self.terms().set_slots_used(slots);
    }

    /// Slots that its pool has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.parts.geometry().slots
    }

    /// Slots whose token was refused or is spent, as the workers reported them.
    #[must_use]
    pub fn suspects(&self) -> Suspects<'_> {
        self.region.suspects_at(&self.parts)
    }

    /// Version of the token in `slot`; 0: it never had one.
    #[must_use]
    pub fn version(&self, slot: SlotIndex) -> u64 {
        self.token(slot).version()
    }

    /// The bells; the supervisor waits for its own.
    #[must_use]
    pub fn bells(&self) -> &BellBoard {
        &self.bells
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> Pool<'_> {
        self.region.pool_at(&self.parts)
    }

    /// Notes whose `slot` is: `account` is any key that tells accounts apart, and not 0.
    pub fn assign(&self, slot: SlotIndex, account: u64) {
        self.token_words(slot).set_account(account);
    }

    /// What a predecessor left in `slot`.
    #[must_use]
    pub fn legacy(&self, slot: SlotIndex) -> Legacy {
        let found = self.token_words(slot);
        let version = self.token(slot).version();
        Legacy {
            account: Some(found.account()).filter(|&key| key != 0),
            version,
            is_usable: self.pool().slots[slot.get()].word().usable && version != 0,
            age: Duration::from_millis(boot_millis().saturating_sub(found.drawn_at())),
            expires_in: Some(found.life())
                .filter(|&millis| millis != 0)
                .map(Duration::from_millis),
            rest: found.rest(),
            origin: self.read_token(slot, &mut Zeroizing::default()).1,
        }
    }

    /// Copies the token of `slot` over `into`; returns its version, 0 if there is none, and its origin.
    pub fn read_token(&self, slot: SlotIndex, into: &mut Vec<u8>) -> (u64, Origin) {
        read_token(self.token(slot), into)
    }

    /// Has `permits` slots of a pool without tokens lent, and no others. What is above ends with its lease.
    pub fn set_permits(&self, permits: usize) {
        let most = self.parts.geometry().slots;
        let terms = self.terms();
        terms.set_slots_used(terms.slots_used().max(permits).min(most));
        for index in 0..terms.slots_used() {
            let slot = SlotIndex::new(index);
            if index < permits {
                self.put_in_use(slot);
            } else {
                self.take_out_of_use(slot);
            }
        }
    }

    fn put_in_use(&self, slot: SlotIndex) {
        let pool = self.pool();
        let tenure = pool.slots[slot.get()].tenure();
        if !self.terms().may_lend(tenure, boot_millis) {
            pool.slots[slot.get()].hold_back();
        }
        if pool.slots[slot.get()].put_in_use() {
            pool.bitmap.set(slot);
            pool.dispatch(&*self.bells);
        }
    }

    /// Publishes a token drawn from `origin` and puts its slot in use. Its holder, if it has one, goes on with the new token.
    ///
    /// # Errors
    /// If the token is longer than the region was made for; the slot is as it was.
    pub fn install(&self, slot: SlotIndex, token: &[u8], origin: Origin) -> Result<u64, TooLong> {
        // Before: whoever gets the slot finds it.
        self.token_words(slot).set_came_at(monotonic_millis());
        self.install_drawn_at(slot, token, origin, boot_millis())
    }

    /// Notes how long the server says that the token of `slot` is good for, for a supervisor that takes over; `None`: it did not
    /// say.
    pub fn note_life(&self, slot: SlotIndex, expires_in: Option<Duration>) {
        let millis = expires_in.map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        self.token_words(slot).set_life(millis);
    }

    /// Puts the token of `from` in use in `to` as well, as one of `origin`; or once more in the same slot.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn copy(&self, from: SlotIndex, to: SlotIndex, origin: Origin) -> Result<u64, TooLong> {
        let mut token = Zeroizing::default();
        self.read_token(from, &mut token);
        let words = self.token_words(from);
        self.token_words(to).set_life(words.life());
        self.token_words(to).set_came_at(words.came_at());
        self.install_drawn_at(to, &token, origin, words.drawn_at())
    }

    /// The same as [`Self::install`] for a token drawn at `drawn_at`, milliseconds of [`boot_millis`].
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn install_drawn_at(
        &self,
        slot: SlotIndex,
        token: &[u8],
        origin: Origin,
        drawn_at: u64,
    ) -> Result<u64, TooLong> {
        let version = publish_token(self.token(slot), token, origin)?;
        // Afterwards: should we be killed in between, the age is overstated, and the token renewed too early.
        self.token_words(slot).set_drawn_at(drawn_at);
        self.token_words(slot).set_rest(None);
        self.token_words(slot).spare_until(0);
        self.put_in_use(slot);
        self.ring_holder(slot);
        Ok(version)
    }

    /// Counts a failed login; a holder that waits for its result is told, and waits for no other as long as
    /// [`Self::login_begins`] was not called.
    pub fn login_failed(&self, slot: SlotIndex) {
        self.token_words(slot).count_failure();
        self.put_off(slot);
    }

    /// Says that no login for the slot comes soon. A holder whose token was refused waits for none.
    pub fn put_off(&self, slot: SlotIndex) {
        let version = self.token(slot).version();
        self.token_words(slot).put_off(version);
        self.ring_holder(slot);
    }

    /// Says that a login for the slot is under way: it may be waited for.
    pub fn login_begins(&self, slot: SlotIndex) {
        self.token_words(slot).put_off(0);
    }

    /// Says that refusals of the slot's token are the application's own: holders pass them on.
    pub fn vouch(&self, slot: SlotIndex) {
        let version = self.token(slot).version();
        self.token_words(slot).vouch(version, monotonic_millis());
        self.ring_holder(slot);
    }

    /// Whether refusals of the slot's token were once found to be the application's own.
    #[must_use]
    pub fn is_vouched(&self, slot: SlotIndex) -> bool {
        let version = self.token(slot).version();
        let vouched = self.token_words(slot).vouched_at(version);
        version != 0 && vouched.is_some()
    }

    /// Whether the slot's token has had an answer other than a refusal.
    #[must_use]
    pub fn has_served(&self, slot: SlotIndex) -> bool {
        let version = self.token(slot).version();
        version != 0 && self.token_words(slot).has_served(version)
    }

    /// Notes until when the slot's account rests, for a supervisor that takes over; `None`: not at all.
    pub fn note_rest(&self, slot: SlotIndex, rest: Option<Rest>) {
        self.token_words(slot).set_rest(rest);
    }

    /// Says whether the pool's tokens are keys that rest when the upstream has had enough of them.
    pub fn set_has_keys(&self, has_keys: bool) {
        self.terms().set_has_keys(has_keys);
    }

    /// Until when the upstream wants the token of `slot` spared, milliseconds of [`boot_millis`], if that is to come.
    #[must_use]
    pub fn spared_until(&self, slot: SlotIndex) -> Option<u64> {
        let until = self.token_words(slot).spared_until();
        (until != 0 && until > boot_millis()).then_some(until)
    }

    /// Has the token of `slot` spared until then: it is lent no more, and whoever holds it uses it no more.
    pub fn spare(&self, slot: SlotIndex, until: u64) {
        self.token_words(slot).spare_until(until);
        self.take_out_of_use(slot);
    }

    /// Says that nobody need wait for a token, and why; `None`: there is hope.
    pub fn set_hopeless(&self, why: Option<Hopeless>) {
        if self.terms().set_hopeless(why) {
            self.ring_all();
        }
    }

    /// Leases whose connections ask nothing just now.
    #[must_use]
    pub fn idle_leases(&self) -> u64 {
        let slots = self.pool().slots.iter().zip(0..);
        let idle = slots.filter(|(slot, index)| {
            let is_leased = matches!(slot.word().holder, Holder::Leased { .. });
            is_leased
                && self
                    .token_words(SlotIndex::new(*index))
                    .idle_since()
                    .is_some()
        });
        idle.count() as u64
    }

    /// Whether there is no token to wait for, and why.
    #[must_use]
    pub fn hopeless(&self) -> Option<Hopeless> {
        self.terms().hopeless()
    }

    /// Lends the slot no more. A lease under way goes on.
    pub fn take_out_of_use(&self, slot: SlotIndex) {
        let pool = self.pool();
        if pool.slots[slot.get()].take_out_of_use() {
            pool.bitmap.clear(slot);
        }
    }

    /// Whether a slot is out of use, and nobody holds it.
    #[must_use]
    pub fn is_idle(&self, slot: SlotIndex) -> bool {
        let word = self.pool().slots[slot.get()].word();
        !word.usable && word.holder == Holder::Free
    }

    /// Wipes the token of a slot that is out of use. False as long as somebody holds it.
    pub fn wipe(&self, slot: SlotIndex) -> bool {
        let idle = self.is_idle(slot);
        if idle {
            self.token(slot).wipe();
            self.assign(slot, 0);
            self.note_rest(slot, None);
            self.note_life(slot, None);
            self.token_words(slot).spare_until(0);
        }
        idle
    }

    /// Whether the upstream refused the token that is in the slot now.
    #[must_use]
    pub fn is_suspect(&self, slot: SlotIndex) -> bool {
        let version = self.token(slot).version();
        version != 0 && self.token_words(slot).refused() == version
    }

    /// Whether a worker gave the slot back for a fresh login: what the upstream still does for its last holder must not meet
    /// the next one's requests, or nothing of the last one's session is to be left (`lease.abandoned`, `lease.reset`). It is out
    /// of use and says so until [`Self::install`]; the worker has rung the supervisor's bell, or was found dead.
    #[must_use]
    pub fn is_spent(&self, slot: SlotIndex) -> bool {
        self.pool().slots[slot.get()].is_spent()
    }

    fn ring_holder(&self, slot: SlotIndex) {
        if let Holder::Leased { seat, .. } = self.pool().slots[slot.get()].word().holder {
            self.bells.ring(seat);
        }
    }
}
