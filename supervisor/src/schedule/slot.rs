//! One slot: the token it has, and what was tried for it.

use std::time::Instant;

use super::{
    account::Account,
    rules::{self, Dice, FRESH},
};

/// A slot in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// No token yet.
    Empty,
    /// It has a token that nobody complained of.
    Usable,
    /// The upstream turned its token down.
    Suspect,
    /// It has no token, or one turned down, and its user is refused.
    Refused,
}

/// Who comes first. A slot that failed comes last, so that those beyond help do not keep a place from
/// those that need but one login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Empty,
    Suspect,
    Expiring,
    Retry,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) account: usize,
    pub(super) token: Option<Drawn>,
    pub(super) under_way: Option<UnderWay>,
    /// No login before this.
    pub(super) not_before: Instant,
    /// Troubles in a row.
    pub(super) failures: u32,
    /// The last login was refused.
    pub(super) refused: bool,
    suspect: bool,
    /// A person wants it renewed.
    wanted: bool,
    /// Tokens in a row that were turned down fresh.
    duds: u32,
}

/// A token, as far as the schedule cares.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) version: u64,
    pub(super) since: Instant,
    pub(super) refresh_at: Instant,
}

#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) ticket: u64,
    pub(super) since: Instant,
    pub(super) retry: bool,
    /// Which of the user's passwords it was sent with.
    pub(super) password: u64,
}

impl Slot {
    pub(super) fn new(account: usize, now: Instant) -> Self {
        Self {
            account,
            token: None,
            under_way: None,
            not_before: now,
            failures: 0,
            refused: false,
            suspect: false,
            wanted: false,
            duds: 0,
        }
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        match &self.token {
            Some(token) if !self.suspect && !self.wanted => {
                Some(token.refresh_at.max(self.not_before))
            }
            _ => Some(self.not_before),
        }
    }

    pub(super) fn rank(&self, account: &Account) -> Rank {
        if self.failures > 0 || self.refused || account.is_doubtful() {
            Rank::Retry
        } else if self.token.is_none() {
            Rank::Empty
        } else if self.suspect {
            Rank::Suspect
        } else {
            Rank::Expiring
        }
    }

    pub(super) fn state(&self, account_refused: bool) -> SlotState {
        match &self.token {
            Some(_) if !self.suspect => SlotState::Usable,
            _ if account_refused || self.refused => SlotState::Refused,
            Some(_) => SlotState::Suspect,
            None => SlotState::Empty,
        }
    }

    pub(super) fn fill(&mut self, version: u64, now: Instant, refresh_at: Instant) {
        self.token = Some(Drawn {
            version,
            since: now,
            refresh_at,
        });
        self.not_before = now;
        self.failures = 0;
        self.refused = false;
        self.suspect = false;
        self.wanted = false;
    }

    /// Whether `version` is the token it has now.
    pub(super) fn holds(&self, version: u64) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| token.version == version)
    }

    /// Marks its token as turned down; false if that was known, or a login is under way already.
    pub(super) fn suspect(&mut self, now: Instant, dice: &mut Dice) -> bool {
        if std::mem::replace(&mut self.suspect, true) || self.under_way.is_some() {
            return false;
        }
        let age = self
            .token
            .as_ref()
            .map(|token| now.saturating_duration_since(token.since));
        if age.is_some_and(|age| age < FRESH) {
            self.duds = self.duds.saturating_add(1);
            self.not_before = self
                .not_before
                .max(now + rules::storm_backoff(self.duds, dice));
        } else {
            self.duds = 0;
        }
        true
    }

    pub(super) fn renew(&mut self, now: Instant) {
        if self.under_way.is_none() {
            self.wanted = true;
            self.not_before = self.not_before.min(now);
        }
    }

    pub(super) fn trouble(&mut self, now: Instant, crowd: u32, dice: &mut Dice) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + rules::backoff(self.failures, crowd, dice);
    }

    pub(super) fn pardon(&mut self, now: Instant) {
        self.refused = false;
        self.not_before = self.not_before.min(now);
    }
}
