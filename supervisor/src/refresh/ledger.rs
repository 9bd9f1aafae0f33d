//! The books of the refresher: the schedule, and what people want to know of each slot.

use std::time::Instant;

use crate::schedule::{Failure, Login, Rules, Schedule};

/// The schedule and the notes beside it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) schedule: Schedule,
    notes: Vec<SlotNote>,
}

/// What is noted of a slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotNote {
    /// Whose the slot is, or was until its lease ends.
    pub(crate) user: String,
    pub(crate) errors: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) fingerprint: Option<String>,
}

impl Ledger {
    /// Without a slot yet.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            schedule: Schedule::new(rules, rand::random::<f64>),
            notes: Vec::new(),
        }
    }

    /// Gives `slot` to `user`; it is due for its first login.
    pub(crate) fn assign(&mut self, slot: usize, user: &str, now: Instant) {
        *self.note_mut(slot) = SlotNote {
            user: user.to_owned(),
            ..SlotNote::default()
        };
        self.schedule.insert(number(slot), user, now);
    }

    /// Notes that `slot` is `user`'s and holds token `version`, drawn at `since` by a predecessor.
    pub(crate) fn adopt(
        &mut self,
        slot: usize,
        user: &str,
        version: u64,
        fingerprint: String,
        since: Instant,
    ) {
        *self.note_mut(slot) = SlotNote {
            user: user.to_owned(),
            fingerprint: Some(fingerprint),
            ..SlotNote::default()
        };
        self.schedule.adopt(number(slot), user, version, since);
    }

    /// Notes that `slot` is nobody's.
    pub(crate) fn leave_out(&mut self, slot: usize) {
        *self.note_mut(slot) = SlotNote::default();
    }

    fn note_mut(&mut self, slot: usize) -> &mut SlotNote {
        if slot >= self.notes.len() {
            self.notes.resize(slot + 1, SlotNote::default());
        }
        &mut self.notes[slot]
    }

    /// Takes `slot` away from its user.
    pub(crate) fn retire(&mut self, slot: usize) {
        self.schedule.remove(number(slot));
        self.notes[slot].fingerprint = None;
    }

    /// Notes that `login` brought token `version`.
    pub(crate) fn logged_in(
        &mut self,
        login: Login,
        version: u64,
        fingerprint: String,
        now: Instant,
    ) {
        let note = &mut self.notes[login.slot as usize];
        note.fingerprint = Some(fingerprint);
        note.last_error = None;
        self.schedule.succeeded(login, version, now);
    }

    /// Notes that `login` failed.
    pub(crate) fn failed(&mut self, login: Login, failure: Failure, reason: String, now: Instant) {
        let note = &mut self.notes[login.slot as usize];
        note.errors += 1;
        note.last_error = Some(reason);
        self.schedule.failed(login, failure, now);
    }

    /// What is noted of `slot`.
    pub(crate) fn note(&self, slot: usize) -> &SlotNote {
        &self.notes[slot]
    }

    /// Slots there ever were.
    pub(crate) fn slots(&self) -> usize {
        self.notes.len()
    }

    /// Slots that are configured.
    pub(crate) fn configured(&self) -> u64 {
        let slots = 0..self.notes.len();
        slots
            .filter(|slot| self.schedule.view(number(*slot)).is_some())
            .count() as u64
    }
}

/// A slot's index as the schedule counts it.
pub(crate) fn number(slot: usize) -> u32 {
    u32::try_from(slot).expect("slots are counted in 14 bits")
}
