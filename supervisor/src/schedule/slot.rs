//! One slot: the token it has, and what was tried for it.

use std::time::Instant;

use super::{
    account::Account,
    rules::{self, CURE_TRIAL, Dice, Drawn},
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
    /// Its token has come to its end, and no login brought another.
    Expired,
    /// It has no token, or none that may be lent, and its user is refused.
    Refused,
}

/// What a complaint about a slot's token comes to.
pub(super) enum Judged {
    /// It was known, or a login is under way already.
    Known,
    /// The token is not to blame.
    Cleared,
    /// The token is suspect from now on.
    News,
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
    pub(super) suspect: bool,
    /// It needs a copy of its user's token: see [`sharing`](super::sharing).
    pub(super) lacks: bool,
    /// A person wants it renewed.
    wanted: bool,
    /// Its token is past its end.
    ended: bool,
    /// Its token was drawn because its forerunner was turned down.
    is_cure: bool,
    /// Such tokens in a row that were turned down soon.
    duds: u32,
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
            lacks: false,
            wanted: false,
            ended: false,
            is_cure: false,
            duds: 0,
        }
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        match &self.token {
            Some(token) if !self.suspect && !self.wanted && !self.ended => {
                Some(token.refresh_at.max(self.not_before))
            }
            _ => Some(self.not_before),
        }
    }

    /// When its token comes to its end, if it has not.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        let token = self.token.as_ref().filter(|_| !self.ended)?;
        Some(token.ends_at)
    }

    /// Whether its token has come to its end by `now`, and that was not known.
    pub(super) fn comes_to_its_end(&mut self, now: Instant) -> bool {
        let news = self.ends_at().is_some_and(|at| at <= now);
        self.ended |= news;
        news
    }

    pub(super) fn rank(&self, account: &Account) -> Rank {
        if self.failures > 0 || self.refused || account.is_doubtful() {
            Rank::Retry
        } else if self.token.is_none() || self.ended {
            Rank::Empty
        } else if self.suspect {
            Rank::Suspect
        } else {
            Rank::Expiring
        }
    }

    pub(super) fn state(&self, account_refused: bool) -> SlotState {
        match &self.token {
            Some(_) if !self.suspect && !self.ended => SlotState::Usable,
            _ if account_refused || self.refused => SlotState::Refused,
            Some(_) if self.suspect => SlotState::Suspect,
            Some(_) => SlotState::Expired,
            None => SlotState::Empty,
        }
    }

    pub(super) fn fill(&mut self, token: Drawn) {
        self.is_cure = std::mem::take(&mut self.suspect);
        self.not_before = token.since;
        self.token = Some(token);
        self.failures = 0;
        self.refused = false;
        self.lacks = false;
        self.wanted = false;
        self.ended = false;
    }

    /// Takes its token away: there is none until the next login.
    pub(super) fn empty(&mut self) {
        self.token = None;
        self.suspect = false;
        self.lacks = false;
        self.ended = false;
    }

    /// Whether it has a token that may be lent.
    pub(super) fn has_good_token(&self) -> bool {
        self.token.is_some() && !self.suspect && !self.ended
    }

    /// Whether `version` is the token it has now.
    pub(super) fn holds(&self, version: u64) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| token.version == version)
    }

    /// Judges a complaint about its token; `has_served`: it had another answer before.
    pub(super) fn suspect(&mut self, has_served: bool, now: Instant, dice: &mut Dice) -> Judged {
        if self.suspect {
            return Judged::Known;
        }
        let since = self.token.as_ref().map_or(now, |token| token.since);
        let is_trial = self.is_cure && now.saturating_duration_since(since) < CURE_TRIAL;
        // A fresh token did not help, so the next one would not either.
        if is_trial && !has_served {
            return Judged::Cleared;
        }
        self.suspect = true;
        if self.under_way.is_some() {
            return Judged::Known;
        }
        self.duds = if is_trial {
            self.duds.saturating_add(1)
        } else {
            0
        };
        // The second in a row may be chance: a server that restarts twice. From the third on there is a pattern.
        if self.duds > 1 {
            let wait = rules::storm_backoff(self.duds - 1, dice);
            self.not_before = self.not_before.max(now + wait);
        }
        Judged::News
    }

    /// Marks its token as one that must not be lent again; false if that was known.
    pub(super) fn renew_spent(&mut self, now: Instant) -> bool {
        if std::mem::replace(&mut self.wanted, true) {
            return false;
        }
        // Backoff and rest go on: the server has asked for them.
        if self.failures == 0 && !self.refused {
            self.not_before = self.not_before.min(now);
        }
        true
    }

    /// Whether its token is suspect, and no login for it under way.
    pub(super) fn waits_as_suspect(&self) -> bool {
        self.suspect && self.under_way.is_none()
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
