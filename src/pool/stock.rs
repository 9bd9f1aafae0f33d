//! The supervisor's half of the pool: it stocks slots with tokens, fills seats, and takes back what the dead held.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    bells::BellBoard,
    clock::{boot_millis, monotonic_millis},
    region::Region,
};

use super::{
    Bells, Pool, Seat, TooLong, Totals,
    ids::{Epoch, Origin, SeatIndex, SlotIndex},
    recovery::Reclaimed,
    seat::{SeatState, SeatWord},
    slot::Rest,
    token,
    word::{Holder, SlotWord},
};

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
    /// Rest of its account after a refused login.
    pub rest: Option<Rest>,
    /// Where it was drawn.
    pub origin: Origin,
}

/// The supervisor's access to the pool. One process at a time may have it.
#[derive(Debug)]
pub struct Stock {
    region: Arc<Region>,
    bells: BellBoard,
    /// Offers that the last sweep saw.
    open_offers: Mutex<Vec<(usize, SlotWord)>>,
}

impl Stock {
    /// Takes charge of a region.
    #[must_use]
    pub fn new(region: Arc<Region>, bells: BellBoard) -> Self {
        Self {
            region,
            bells,
            open_offers: Mutex::default(),
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The bells; the supervisor waits for its own.
    #[must_use]
    pub fn bells(&self) -> &BellBoard {
        &self.bells
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> Pool<'_> {
        self.region.pool()
    }

    /// Notes whose `slot` is: `account` is any key that tells accounts apart, and not 0.
    pub fn assign(&self, slot: SlotIndex, account: u64) {
        self.pool().slots[slot.get()].set_account(account);
    }

    /// What a predecessor left in `slot`.
    #[must_use]
    pub fn legacy(&self, slot: SlotIndex) -> Legacy {
        let pool = self.pool();
        let found = &pool.slots[slot.get()];
        let version = self.region.token(slot).version();
        Legacy {
            account: Some(found.account()).filter(|&key| key != 0),
            version,
            is_usable: found.word().usable && version != 0,
            age: Duration::from_millis(boot_millis().saturating_sub(found.drawn_at())),
            rest: found.rest(),
            origin: self.read_token(slot, &mut Zeroizing::default()).1,
        }
    }

    /// Copies the token of `slot` over `into`; returns its version, 0 if there is none, and its origin.
    pub fn read_token(&self, slot: SlotIndex, into: &mut Vec<u8>) -> (u64, Origin) {
        token::read(self.region.token(slot), into)
    }

    /// Publishes a token drawn from `origin` and puts its slot in use. Its holder, if it has one, goes on with the new token.
    ///
    /// # Errors
    /// If the token is longer than the region was made for; the slot is as it was.
    pub fn install(&self, slot: SlotIndex, token: &[u8], origin: Origin) -> Result<u64, TooLong> {
        let pool = self.pool();
        let version = token::publish(self.region.token(slot), token, origin)?;
        // Afterwards: should we be killed in between, the age is overstated, and the token renewed too early.
        pool.slots[slot.get()].set_drawn_at(boot_millis());
        pool.slots[slot.get()].set_rest(None);
        if pool.slots[slot.get()].put_in_use() {
            pool.bitmap.set(slot);
            pool.dispatch(&self.bells);
        }
        self.ring_holder(slot);
        Ok(version)
    }

    /// Counts a failed login; a holder that waits for its result is told, and waits for no other as long as
    /// [`Self::login_begins`] was not called.
    pub fn login_failed(&self, slot: SlotIndex) {
        self.pool().slots[slot.get()].count_failure();
        self.put_off(slot);
    }

    /// Says that no login for the slot comes soon. A holder whose token was refused waits for none.
    pub fn put_off(&self, slot: SlotIndex) {
        let version = self.region.token(slot).version();
        self.pool().slots[slot.get()].put_off(version);
        self.ring_holder(slot);
    }

    /// Says that a login for the slot is under way: it may be waited for.
    pub fn login_begins(&self, slot: SlotIndex) {
        self.pool().slots[slot.get()].put_off(0);
    }

    /// Says that refusals of the slot's token are the application's own: holders pass them on.
    pub fn vouch(&self, slot: SlotIndex) {
        let version = self.region.token(slot).version();
        self.pool().slots[slot.get()].vouch(version, monotonic_millis());
        self.ring_holder(slot);
    }

    /// Whether refusals of the slot's token were once found to be the application's own.
    #[must_use]
    pub fn is_vouched(&self, slot: SlotIndex) -> bool {
        let version = self.region.token(slot).version();
        let vouched = self.pool().slots[slot.get()].vouched_at(version);
        version != 0 && vouched.is_some()
    }

    /// Whether the slot's token has had an answer other than a refusal.
    #[must_use]
    pub fn has_served(&self, slot: SlotIndex) -> bool {
        let version = self.region.token(slot).version();
        version != 0 && self.pool().slots[slot.get()].has_served(version)
    }

    /// Notes until when the slot's account rests, for a supervisor that takes over; `None`: not at all.
    pub fn note_rest(&self, slot: SlotIndex, rest: Option<Rest>) {
        self.pool().slots[slot.get()].set_rest(rest);
    }

    /// Says that the upstream refuses all `accounts` and no token is left, so that nobody need wait; 0: there is hope.
    pub fn set_hopeless(&self, accounts: u64) {
        if self.region.set_hopeless(accounts) {
            self.ring_all();
        }
    }

    /// Lends the slot no more. A lease under way goes on.
    pub fn take_out_of_use(&self, slot: SlotIndex) {
        let pool = self.pool();
        if pool.slots[slot.get()].take_out_of_use() {
            pool.bitmap.clear(slot);
        }
    }

    /// Wipes the token of a slot that is out of use. False as long as somebody holds it.
    pub fn wipe(&self, slot: SlotIndex) -> bool {
        let word = self.pool().slots[slot.get()].word();
        let idle = !word.usable && word.holder == Holder::Free;
        if idle {
            self.region.token(slot).wipe();
            self.assign(slot, 0);
            self.note_rest(slot, None);
        }
        idle
    }

    /// Whether the upstream refused the token that is in the slot now.
    #[must_use]
    pub fn is_suspect(&self, slot: SlotIndex) -> bool {
        let version = self.region.token(slot).version();
        version != 0 && self.pool().slots[slot.get()].refused() == version
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

    /// Says that the plan of `generation` is in force: every worker has it, or will find it in its channel.
    pub fn put_plan_in_force(&self, generation: u64) {
        self.region.set_plan_generation(generation);
    }

    /// A generation newer than that of any plan there was, be it in force or not.
    #[must_use]
    pub fn next_plan_generation(&self) -> u64 {
        let pool = self.pool();
        let shown = pool.seats.iter().map(Seat::plan);
        // A predecessor may have died between sending one and putting it in force.
        1 + shown.fold(self.region.plan_generation(), u64::max)
    }

    /// Whether every worker that is ready and responds acts on the plan of `generation`, or a later one.
    #[must_use]
    pub fn is_plan_reached(&self, generation: u64) -> bool {
        let pool = self.pool();
        let mut seats = pool.seats.iter();
        seats.all(|seat| {
            let word = seat.word();
            word.state != SeatState::Ready || word.stalled || seat.plan() >= generation
        })
    }

    fn ring_all(&self) {
        for (index, seat) in self.pool().seats.iter().enumerate() {
            if seat.word().is_filled() {
                self.bells.ring(SeatIndex::new(index));
            }
        }
    }

    /// Fills a vacant seat for a worker about to be started, of which `launch` is the fingerprint
    /// ([`super::Seat::launch`]); `None`: all are taken.
    #[must_use]
    pub fn fill_seat(&self, launch: u64) -> Option<(SeatIndex, Epoch)> {
        let pool = self.pool();
        let index = pool
            .seats
            .iter()
            .position(|seat| seat.word().state == SeatState::Vacant)?;
        let seat = &pool.seats[index];
        let epoch = seat.word().epoch.next();
        // A beat to begin with: time until the first one of its own counts from here.
        let now = monotonic_millis();
        let _ = seat.beat(now);
        seat.note_launch(launch, now);
        seat.set_word(SeatWord {
            state: SeatState::Starting,
            stalled: false,
            epoch,
            pid: 0,
        });
        Some((SeatIndex::new(index), epoch))
    }

    /// Notes the process that sits there.
    pub fn set_pid(&self, seat: SeatIndex, pid: u32) {
        self.pool().seats[seat.get()].update_word(|word| Some(SeatWord { pid, ..word }));
    }

    /// Milliseconds since the worker's last heartbeat.
    #[must_use]
    pub fn heartbeat_age(&self, seat: SeatIndex) -> u64 {
        monotonic_millis().saturating_sub(self.pool().seats[seat.get()].heartbeat())
    }

    /// Takes back all that the worker of `seat` held, and vacates the seat. Its process must have ended.
    pub fn reclaim(&self, seat: SeatIndex) -> Reclaimed {
        // First: once the seat is vacant nobody would do it any more, should this process die in between.
        self.region.wipe_clients(seat);
        let reclaimed = self.pool().reclaim(seat, &self.bells);
        self.region.counters(seat).settle(reclaimed.leases);
        self.tell_of_spent();
        reclaimed
    }

    /// The dead tell nobody that they left a spent token.
    fn tell_of_spent(&self) {
        let slots = self.pool().slots.iter().enumerate();
        let mut spent = slots.filter(|(_, slot)| slot.is_spent()).peekable();
        if spent.peek().is_some() {
            spent.for_each(|(index, _)| self.region.suspects().push(SlotIndex::new(index)));
            self.bells.ring_supervisor();
        }
    }

    /// Lets the line pass a worker by whose heartbeat stands still.
    pub fn pass_by(&self, seat: SeatIndex) {
        self.pool().pass_by(seat, &self.bells);
    }

    /// Mends what stopped processes left half done. To be called every now and then; an offer that is open at two
    /// calls in a row was forgotten by its maker. Harmless at any time.
    pub fn sweep(&self) {
        let mut seen = self
            .open_offers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Tickets are never used twice: the same word is the same offer.
        *seen = self
            .pool()
            .sweep_offers(&self.bells, |slot, word| seen.contains(&(slot, word)));
    }

    /// What all workers, past ones included, have done.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for index in 0..self.pool().seats.len() {
            totals.add(self.region.counters(SeatIndex::new(index)));
        }
        totals
    }
}
