//! What all slots of one user have in common: whether its password is good.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::rules::{self, Dice, PATIENCE};

#[derive(Debug)]
pub(super) struct Account {
    pub(super) user: String,
    /// Its slots.
    pub(super) slots: BTreeSet<u32>,
    /// How many of them are logging in.
    pub(super) under_way: u32,
    /// Counts passwords: a refusal of the old one is not held against the new.
    pub(super) password: u64,
    standing: Standing,
    last_start: Option<Instant>,
}

#[derive(Debug)]
enum Standing {
    /// No login with this password has ended well or been refused yet.
    Unproven { failures: u32, not_before: Instant },
    /// The last that was heard is a success.
    Proven,
    /// The last that was heard is a refusal.
    Refused { since: Instant, until: Instant },
}

/// When a user lets one more of its slots log in.
pub(super) enum Gate {
    Open,
    From(Instant),
    /// When the login under way has ended.
    Shut,
}

impl Account {
    pub(super) fn new(user: &str, now: Instant) -> Self {
        let standing = Standing::Unproven {
            failures: 0,
            not_before: now,
        };
        Self {
            user: user.to_owned(),
            slots: BTreeSet::new(),
            under_way: 0,
            password: 0,
            standing,
            last_start: None,
        }
    }

    /// A wrong password tried by sixteen slots at once may lock the account: the first goes alone. It is
    /// not waited for without end, for one lost packet should not hold up all; but after a
    /// refusal it is.
    pub(super) fn gate(&self) -> Gate {
        match (
            &self.standing,
            self.last_start.filter(|_| self.under_way > 0),
        ) {
            (Standing::Proven, _) => Gate::Open,
            (Standing::Unproven { not_before, .. }, None) => Gate::From(*not_before),
            (Standing::Unproven { not_before, .. }, Some(start)) => {
                Gate::From((start + PATIENCE).max(*not_before))
            }
            (Standing::Refused { until, .. }, None) => Gate::From(*until),
            (Standing::Refused { .. }, Some(_)) => Gate::Shut,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.under_way += 1;
        self.last_start = Some(now);
    }

    pub(super) fn prove(&mut self) {
        self.standing = Standing::Proven;
    }

    /// Rests the user, and says for how long.
    pub(super) fn refuse(&mut self, now: Instant, dice: &mut Dice) -> Duration {
        let rest = rules::refused_rest(dice);
        self.standing = Standing::Refused {
            since: now,
            until: now + rest,
        };
        rest
    }

    /// Rests the user until then, as a predecessor did.
    pub(super) fn rest(&mut self, now: Instant, until: Instant) {
        self.standing = Standing::Refused { since: now, until };
    }

    /// Until when it rests.
    pub(super) fn resting_until(&self) -> Option<Instant> {
        match self.standing {
            Standing::Refused { until, .. } => Some(until),
            Standing::Unproven { .. } | Standing::Proven => None,
        }
    }

    /// Trouble of a user that is not proven: the next try is put off for all its slots.
    pub(super) fn trouble(&mut self, now: Instant, crowd: u32, dice: &mut Dice) {
        match &mut self.standing {
            Standing::Unproven {
                failures,
                not_before,
            } => {
                *failures = failures.saturating_add(1);
                *not_before = now + rules::backoff(*failures, crowd, dice);
            }
            // The server said nothing, so the rest goes on, and if it was over, it is for a little longer.
            Standing::Refused { until, .. } => {
                *until = (*until).max(now + rules::storm_backoff(u32::MAX, dice))
            }
            Standing::Proven => {}
        }
    }

    /// An outage is over: try by `then`.
    pub(super) fn release(&mut self, then: Instant) {
        if let Standing::Unproven {
            failures: 1..,
            not_before,
        } = &mut self.standing
        {
            *not_before = (*not_before).min(then);
        }
    }

    /// A person wants it tried now.
    pub(super) fn wake(&mut self, now: Instant) {
        match &mut self.standing {
            Standing::Unproven { not_before: at, .. } | Standing::Refused { until: at, .. } => {
                *at = (*at).min(now)
            }
            Standing::Proven => {}
        }
    }

    pub(super) fn renew_password(&mut self, now: Instant) {
        self.password += 1;
        self.standing = Standing::Unproven {
            failures: 0,
            not_before: now,
        };
    }

    /// Nothing is known of the password any more.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.standing = Standing::Unproven {
            failures: 0,
            not_before: now,
        };
    }

    pub(super) fn is_proven(&self) -> bool {
        matches!(self.standing, Standing::Proven)
    }

    /// Whether nothing is known of it yet and a login is under way that will tell.
    pub(super) fn is_on_trial(&self) -> bool {
        matches!(self.standing, Standing::Unproven { .. }) && self.under_way > 0
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.standing, Standing::Refused { .. })
    }

    /// Whether a login of it is likely to fail.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_refused() || self.failures() > 0
    }

    /// Whether it is refused, and a login begun at `start` was begun later than that.
    pub(super) fn refused_before(&self, start: Instant) -> bool {
        matches!(self.standing, Standing::Refused { since, .. } if since < start)
    }

    /// Troubles in a row of a user not yet proven.
    pub(super) fn failures(&self) -> u32 {
        match self.standing {
            Standing::Unproven { failures, .. } => failures,
            Standing::Proven | Standing::Refused { .. } => 0,
        }
    }
}
