//! What a worker has of a pool: a lease, the wait for a new token. Each is given back by being dropped.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    clock::{boot_millis, monotonic_millis},
    ids::{Origin, PoolId, SlotIndex},
    pool::{Claim, Released, Slot},
    shared::{EndedHold, TokenWords, read_token},
};

use super::desk::{Desk, OwnBellNoted, unpoisoned};

/// How long refusals are passed on after a fresh token did not cure one.
const VOUCHED_MS: u64 = 60_000;

impl Desk {
    /// A free slot at once, if there is one and nobody waits.
    #[must_use]
    pub fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        let claim = self.next_claim();
        self.pool()
            .try_claim(claim)
            .map(|slot| self.lease_found(slot, claim))
    }

    /// A lease whose token was there.
    pub(super) fn lease_found(self: &Arc<Self>, slot: SlotIndex, claim: Claim) -> Lease {
        if let Some(part) = self.part() {
            part.hits.add(1);
        }
        self.lease(slot, claim)
    }

    /// A lease of one who stood in line since then, milliseconds of [`monotonic_millis`]: what it waited for may have been a login.
    pub(super) fn lease_awaited(
        self: &Arc<Self>,
        (slot, claim): (SlotIndex, Claim),
        since: u64,
    ) -> Lease {
        let token = self.tokens().get(slot.get());
        if token.is_none_or(|token| token.came_at() < since) {
            return self.lease_found(slot, claim);
        }
        self.count_miss();
        self.lease(slot, claim)
    }

    fn count_miss(&self) {
        if let Some(part) = self.part() {
            part.misses.add(1);
        }
    }

    fn lease(self: &Arc<Self>, slot: SlotIndex, claim: Claim) -> Lease {
        self.counters().acquisitions.add(1);
        // A permit has no words beside it.
        if let Some(token) = self.tokens().get(slot.get()) {
            token.note_idle(0);
        }
        Lease {
            desk: Arc::clone(self),
            slot,
            claim,
            spent: None,
        }
    }
}

/// Exclusive use of a slot. Dropping it gives the slot back and serves the line; if its token was called spent, the slot goes
/// out of use until the supervisor has logged in anew.
pub struct Lease {
    desk: Arc<Desk>,
    slot: SlotIndex,
    claim: Claim,
    /// Token version that must not be lent again.
    spent: Option<u64>,
}

impl Lease {
    /// Whether it is a slot of `pool`.
    #[must_use]
    pub fn is_of(&self, pool: PoolId) -> bool {
        self.desk.pool_id() == pool
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    /// Version of the token that is in the slot now; rises at each refresh.
    #[must_use]
    pub fn token_version(&self) -> u64 {
        self.desk.token_version(self.slot)
    }

    /// Copies the token over `into`; returns its version, and where alone it may be sent.
    pub fn read_token(&self, into: &mut Vec<u8>) -> (u64, Origin) {
        read_token(self.desk.token(self.slot), into)
    }

    /// Reports that the upstream refused token `version`: the supervisor logs in anew.
    pub fn report_refused(&self, version: u64) {
        if self.words().report_refused(version) {
            self.desk.suspect(self.slot);
        }
    }

    /// Whether the upstream refused token `version`, and no other one is in yet.
    #[must_use]
    pub fn is_refused(&self, version: u64) -> bool {
        self.words().refused() == version
    }

    /// When the token in the slot was drawn, milliseconds of [`crate::clock::boot_millis`].
    #[must_use]
    pub fn drawn_at(&self) -> u64 {
        self.words().drawn_at()
    }

    pub(super) fn held_slot(&self) -> (&Slot, Claim) {
        (self.desk.slot(self.slot), self.claim)
    }

    pub(super) fn count_hold(&self, hold: EndedHold) {
        if let Some(part) = self.desk.part() {
            part.holds.note(hold);
        }
    }

    fn words(&self) -> &TokenWords {
        self.desk.token_words(self.slot)
    }

    /// Whether a refusal of token `version` is to be passed on at once, without a login: one made a moment ago did not
    /// cure the last one. True for a minute, then one is tried again.
    #[must_use]
    pub fn is_vouched(&self, version: u64) -> bool {
        self.words()
            .vouched_at(version)
            .is_some_and(|at| monotonic_millis().saturating_sub(at) < VOUCHED_MS)
    }

    /// Notes that token `version` was refused although it is fresh: that is the application's doing.
    pub fn vouch(&self, version: u64) {
        self.words().vouch(version, monotonic_millis());
    }

    /// Notes that token `version` had an answer other than a refusal. Once a token is enough.
    pub fn note_served(&self, version: u64) {
        self.words().note_served(version);
    }

    /// Reports that the upstream wants its token spared for so long, by whoever holds it: the supervisor takes it out of use
    /// wherever it is. This lease is to be given back; its slot is lent no more.
    pub fn spare(&mut self, version: u64, wait: Duration) {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        // The word first: whoever finds the token spent is to find why.
        self.words().spare_until(boot_millis().saturating_add(wait));
        self.mark_spent(version);
        self.desk.suspect(self.slot);
    }

    /// Whether the upstream wants its token spared now.
    #[must_use]
    pub fn is_spared(&self) -> bool {
        let until = self.words().spared_until();
        until != 0 && until > boot_millis()
    }

    /// Reports token `version` as refused and waits for the next one: true when it is in, false when the login failed, or
    /// none comes soon. It sets no bound of its own.
    pub fn refreshed(&self, version: u64) -> Refreshed {
        // First: a login that fails between the report and a later look would not be seen.
        let failures = self.words().failures();
        self.report_refused(version);
        self.desk.count_miss();
        Refreshed {
            desk: Arc::clone(&self.desk),
            slot: self.slot,
            version,
            failures,
            begun: monotonic_millis(),
        }
    }

    /// From now on, however the lease ends and even if this process dies, token `version` is not lent again.
    pub fn mark_spent(&mut self, version: u64) {
        self.spent = Some(version);
        self.desk.slot(self.slot).mark_spent(version);
    }

    /// The token may be lent again after all.
    pub fn mark_sound(&mut self) {
        self.spent = None;
        self.desk.slot(self.slot).mark_spent(0);
    }

    /// Whether a request may be stamped with its token now: it is neither lapsed nor to end.
    #[must_use]
    pub fn may_stamp(&self) -> bool {
        let slot = self.desk.slot(self.slot);
        !has_lapsed(&self.desk, slot) && why_ended(&self.desk, slot, self.claim).is_none()
    }

    /// Whether the time is over in which its token may be sent ([`crate::shared::Deadlines::lend_until`]).
    ///
    /// With a deadline the system's own clock is read, not one that this process keeps: after a stop of any length the
    /// answer is by the time at which it goes on. Without one it costs a load, in the slot's own line.
    #[must_use]
    pub fn has_lapsed(&self) -> bool {
        has_lapsed(&self.desk, self.desk.slot(self.slot))
    }

    /// When the kernel is to end this process, should it hold the lease still ([`crate::shared::Deadlines::kill_at`]); `None`: never.
    #[must_use]
    pub fn kill_at(&self) -> Option<u64> {
        let tenure = self.desk.slot(self.slot).tenure()?;
        Some(self.desk.terms().tenure(tenure).kill_at())
    }

    /// Whether it is to end at once: the supervisor took the slot back, or the deadline of what is under way
    /// ([`crate::shared::Deadlines::cut_at`]) has come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        why_ended(&self.desk, self.desk.slot(self.slot), self.claim).is_some()
    }

    /// For whoever keeps an eye on it from outside of the task that has it.
    #[must_use]
    pub fn watch(&self) -> LeaseWatch {
        LeaseWatch {
            desk: Arc::clone(&self.desk),
            slot: self.slot,
            claim: self.claim,
        }
    }

    /// Counts a request sent with this slot at `now`, milliseconds of the monotonic clock.
    pub fn count_use(&self, now: u64) {
        self.words().count_use(now);
    }

    /// Says that its connection asks nothing now: while somebody waits it may be told to give way
    /// ([`Desk::who_gives_way`]). Returns the note, milliseconds of the monotonic clock.
    pub fn note_idle(&self) -> u64 {
        let now = monotonic_millis();
        self.words().note_idle(now);
        now
    }

    /// Says that its connection is at work.
    pub fn note_busy(&self) {
        self.words().note_idle(0);
    }
}

/// Why a lease is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfLease {
    /// The supervisor took the slot back.
    TakenBack,
    /// This host has shown itself nowhere for so long that another one may soon have the slot.
    Cut,
}

fn has_lapsed(desk: &Desk, slot: &Slot) -> bool {
    let may_lend = |tenure| desk.terms().tenure(tenure).may_lend(boot_millis());
    !slot.tenure().is_none_or(may_lend)
}

fn why_ended(desk: &Desk, slot: &Slot, claim: Claim) -> Option<EndOfLease> {
    if slot.is_ended(claim) {
        return Some(EndOfLease::TakenBack);
    }
    let tenure = slot.tenure()?;
    let is_cut = desk.terms().tenure(tenure).is_cut(boot_millis());
    is_cut.then_some(EndOfLease::Cut)
}

/// Tells whether a lease is to end. It keeps nothing: the lease ends without it, and then it says no more.
#[derive(Debug)]
pub struct LeaseWatch {
    desk: Arc<Desk>,
    slot: SlotIndex,
    claim: Claim,
}

impl LeaseWatch {
    /// Why it is to end, if it is under way and [`Lease::is_ended`]. To be asked when [`Desk::look_at_leases`] says so.
    #[must_use]
    pub fn why_ended(&self) -> Option<EndOfLease> {
        let slot = self.desk.slot(self.slot);
        slot.is_held_under(self.claim)
            .then(|| why_ended(&self.desk, slot, self.claim))
            .flatten()
    }

    /// Counts the end of its connection because of [`EndOfLease::Cut`].
    pub fn count_cut(&self) {
        if let Some(part) = self.desk.part() {
            part.cut.add(1);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let desk = &*self.desk;
        desk.counters().releases.add(1);
        let bells = OwnBellNoted::new(desk);
        match self.spent {
            // Not held any more: the supervisor reclaimed it, and counted it.
            None => drop(desk.pool().release(self.slot, self.claim, &bells)),
            Some(version) => {
                let pool = desk.pool();
                if pool.retire(self.slot, self.claim, version, &bells) == Released::Unusable {
                    desk.suspect(self.slot);
                }
            }
        }
        if bells.rang() && desk.collect() {
            desk.serve();
        }
    }
}

/// Waits for a token newer than the one that was refused.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Refreshed {
    desk: Arc<Desk>,
    slot: SlotIndex,
    version: u64,
    failures: u64,
    /// When, milliseconds: what was vouched for earlier is for another refusal.
    begun: u64,
}

impl Refreshed {
    fn outcome(&self) -> Option<bool> {
        let slot = self.desk.token_words(self.slot);
        if self.desk.token_version(self.slot) != self.version {
            Some(true)
        } else if slot.failures() != self.failures
            || slot.is_put_off(self.version)
            || slot
                .vouched_at(self.version)
                .is_some_and(|at| at >= self.begun)
        {
            Some(false)
        } else {
            None
        }
    }
}

impl Future for Refreshed {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let mut watchers = unpoisoned(&self.desk.shared.watchers);
        watchers.push(cx.waker().clone());
        drop(watchers);
        // Once more: the bell may have been answered between the look and the entry.
        self.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}
