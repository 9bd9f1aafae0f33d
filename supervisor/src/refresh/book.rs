//! The one book of a pool: whose each slot is, whether its token is lent, and what people want to know of it. The schedule
//! is kept under the same numbers.

use std::{collections::HashSet, sync::Arc, time::Instant};

use tpp::config::Credential;

use crate::{
    provider::{Grant, Provider},
    schedule::{Copy, Failure, Login, Rules, Schedule},
};

/// All slots of a pool.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) schedule: Schedule,
    /// By slot. A slot is never moved: it keeps its account until that has no use for it.
    pub(super) slots: Vec<Stocked>,
    /// Nobody's slots that may still be leased or hold a token.
    pub(super) retired: Vec<usize>,
    /// Nobody's slots that are empty.
    pub(super) free: Vec<usize>,
    /// Slots whose token may be lent.
    lent: u64,
    /// Slots that are somebody's.
    pub(super) owned: u64,
    /// Where the accounts are shared with other hosts: the slots that were this host's when it began.
    pub(super) shared: Option<HashSet<usize>>,
}

/// A slot.
#[derive(Debug, Default)]
pub(super) struct Stocked {
    /// Whose it is; `None`: nobody's.
    pub(super) owner: Option<Arc<Credential>>,
    /// Its token may be lent.
    is_lent: bool,
    pub(super) note: SlotNote,
    /// Which of its account's places it is.
    pub(super) place: u16,
    /// It is not this host's: it has no token, and no login is due.
    pub(super) is_away: bool,
    /// Who gave it its token, and to whom; `None`: it has none, or a predecessor's.
    drawn: Option<DrawnBy>,
}

/// Where a token came from, for whoever ends its session.
#[derive(Debug, Clone)]
pub(super) struct DrawnBy {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) account: Arc<Credential>,
}

/// What is noted of a slot for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotNote {
    /// Whose the slot is, or was until its lease ends.
    pub(crate) user: String,
    pub(crate) errors: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) fingerprint: Option<String>,
}

impl Book {
    /// Without a slot yet.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            schedule: Schedule::new(rules, rand::random::<f64>),
            slots: Vec::new(),
            retired: Vec::new(),
            free: Vec::new(),
            lent: 0,
            owned: 0,
            shared: None,
        }
    }

    /// Makes `slot` `owner`'s; it is due for its first login.
    pub(super) fn give(&mut self, slot: usize, owner: &Arc<Credential>, now: Instant) {
        let stocked = &mut self.slots[slot];
        stocked.owner = Some(Arc::clone(owner));
        stocked.note = SlotNote {
            user: owner.username.clone(),
            ..SlotNote::default()
        };
        self.owned += 1;
        if !stocked.is_away {
            self.schedule.insert(number(slot), &owner.username, now);
        }
    }

    /// Begins anew with `slot`, which keeps its owner: it is due for a login, and none under way for it counts.
    pub(super) fn begin_anew(&mut self, slot: usize, now: Instant) {
        if let Some(owner) = self.slots[slot].owner.clone() {
            self.owned -= 1;
            self.give(slot, &owner, now);
        }
    }

    /// Makes retired slots free again, as far as `is_empty` says so. Returns those.
    pub(super) fn reclaim_retired(
        &mut self,
        mut is_empty: impl FnMut(usize) -> bool,
    ) -> Vec<usize> {
        let (empty, busy): (Vec<_>, _) = self.retired.drain(..).partition(|slot| is_empty(*slot));
        self.retired = busy;
        self.free.extend(&empty);
        empty
    }

    /// The account of `slot`, if it is somebody's.
    pub(super) fn owner(&self, slot: usize) -> Option<&Arc<Credential>> {
        self.slots.get(slot)?.owner.as_ref()
    }

    /// Slots that are somebody's.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (usize, &Arc<Credential>)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, stocked)| Some((slot, stocked.owner.as_ref()?)))
    }

    /// Notes that the token of `slot` may be lent.
    pub(super) fn lend(&mut self, slot: usize) {
        self.lent += u64::from(!std::mem::replace(&mut self.slots[slot].is_lent, true));
    }

    /// Notes that the token of `slot` may be lent no more.
    pub(super) fn withhold(&mut self, slot: usize) {
        self.lent -= u64::from(std::mem::take(&mut self.slots[slot].is_lent));
    }

    /// Slots whose token may be lent.
    pub(super) fn lent(&self) -> u64 {
        self.lent
    }

    /// Notes that `login` brought the token that is `version` now, from `provider`.
    pub(super) fn logged_in(
        &mut self,
        login: Login,
        version: u64,
        granted: &Grant,
        provider: &Arc<dyn Provider>,
        now: Instant,
    ) {
        let slot = login.slot as usize;
        let stocked = &mut self.slots[slot];
        stocked.drawn = stocked.owner.as_ref().map(|account| DrawnBy {
            provider: Arc::clone(provider),
            account: Arc::clone(account),
        });
        let note = &mut stocked.note;
        note.fingerprint = Some(granted.secret.fingerprint());
        note.last_error = None;
        self.lend(slot);
        self.schedule
            .succeeded(login, version, granted.expires_in, now);
    }

    /// Notes that a token was copied, and is `version` there.
    pub(super) fn copied(&mut self, copy: Copy, version: u64) {
        let [from, to] = [copy.from, copy.to].map(|slot| slot as usize);
        let fingerprint = self.slots[from].note.fingerprint.clone();
        let drawn = self.slots[from].drawn.clone();
        let stocked = &mut self.slots[to];
        stocked.drawn = drawn;
        stocked.note.fingerprint = fingerprint;
        stocked.note.last_error = None;
        self.lend(to);
        self.schedule.copied(copy, version);
    }

    /// Who gave `slot` its token; asked once.
    pub(super) fn take_drawn(&mut self, slot: usize) -> Option<DrawnBy> {
        self.slots[slot].drawn.take()
    }

    /// Notes that there is no token in `slot` any more.
    pub(super) fn forget_token(&mut self, slot: usize) {
        self.slots[slot].note.fingerprint = None;
    }

    /// Notes that the upstream turned down the token of `slot`, for which there is no other.
    pub(super) fn turned_down(&mut self, slot: usize) {
        let note = &mut self.slots[slot].note;
        note.errors += 1;
        note.last_error = Some("the upstream turned the key down".to_owned());
    }

    /// Notes that `login` failed.
    pub(super) fn failed(&mut self, login: Login, failure: Failure, reason: String, now: Instant) {
        let note = &mut self.slots[login.slot as usize].note;
        note.errors += 1;
        note.last_error = Some(reason);
        self.schedule.failed(login, failure, now);
    }

    /// What is noted of `slot`.
    pub(crate) fn note(&self, slot: usize) -> &SlotNote {
        &self.slots[slot].note
    }

    /// Slots there ever were.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Slots that are configured, but for those that are another host's.
    pub(crate) fn configured(&self) -> u64 {
        self.owned - self.away_count()
    }
}

/// A slot's index as the schedule counts it.
pub(crate) fn number(slot: usize) -> u32 {
    u32::try_from(slot).expect("slots are counted in 14 bits")
}
