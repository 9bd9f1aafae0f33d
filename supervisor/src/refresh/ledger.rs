//! The books of the refresher: the schedule, and what people want to know of each slot.

use std::time::Instant;

use tpp::config;

use crate::schedule::{Failure, Login, Rules, Schedule};

/// The schedule and the notes beside it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) schedule: Schedule,
    notes: Vec<SlotNote>,
    /// Logins that brought a token.
    pub(crate) succeeded: u64,
    /// Logins that the server refused.
    pub(crate) refused: u64,
    /// Logins that failed otherwise.
    pub(crate) troubled: u64,
}

/// What is noted of a slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotNote {
    pub(crate) errors: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) fingerprint: Option<String>,
}

impl Ledger {
    /// Empty slots of `users`, all due for their first login.
    pub(crate) fn new<'a>(
        rules: &config::Token,
        users: impl Iterator<Item = &'a str>,
        now: Instant,
    ) -> Self {
        let mut schedule = Schedule::new(Rules::from(rules), rand::random::<f64>);
        let mut notes = Vec::new();
        for (slot, user) in (0..).zip(users) {
            schedule.insert(slot, user, now);
            notes.push(SlotNote::default());
        }
        Self {
            schedule,
            notes,
            succeeded: 0,
            refused: 0,
            troubled: 0,
        }
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
        self.succeeded += 1;
        self.schedule.succeeded(login, version, now);
    }

    /// Notes that `login` failed; false if it counts no more.
    pub(crate) fn failed(
        &mut self,
        login: Login,
        failure: Failure,
        reason: String,
        now: Instant,
    ) -> bool {
        if !self.schedule.expects(&login) {
            return false;
        }
        let note = &mut self.notes[login.slot as usize];
        note.errors += 1;
        note.last_error = Some(reason);
        match failure {
            Failure::Refused => self.refused += 1,
            Failure::Trouble => self.troubled += 1,
        }
        self.schedule.failed(login, failure, now)
    }

    /// What is noted of `slot`.
    pub(crate) fn note(&self, slot: usize) -> &SlotNote {
        &self.notes[slot]
    }

    /// Slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.notes.len()
    }
}
