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
    /// One login fills all its slots.
    pub(super) is_shared: bool,
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
    /// Its key is used up until then.
    Spared { until: Instant },
}

/// When a user lets one more of its slots log in.
pub(super) enum Gate {
    Open,
    From(Instant),
    /// When the login under way has ended.
    Shut,
}

impl Account {
    pub(super) fn new(user: &str, is_shared: bool, now: Instant) -> Self {
        let standing = Standing::Unproven {
            failures: 0,
            not_before: now,
        };
        Self {
            user: user.to_owned(),
            slots: BTreeSet::new(),
            under_way: 0,
            password: 0,
            is_shared,
            standing,
            last_start: None,
        }
    }

    /// A wrong password tried by sixteen slots at once may lock the account: the first goes alone. It is
    /// not waited for without end, for one lost packet should not hold up all; but after a
    /// refusal it is.
    pub(super) fn gate(&self) -> Gate {
        let under_way = self.last_start.filter(|_| self.under_way > 0);
        if self.is_shared && under_way.is_some() {
            return Gate::Shut;
        }
        match (&self.standing, under_way) {
            (Standing::Proven, _) => Gate::Open,
            (Standing::Unproven { not_before, .. }, None) => Gate::From(*not_before),
            (Standing::Unproven { not_before, .. }, Some(start)) => {
                Gate::From((start + PATIENCE).max(*not_before))
            }
            (Standing::Refused { until, .. } | Standing::Spared { until }, None) => {
                Gate::From(*until)
            }
            (Standing::Refused { .. } | Standing::Spared { .. }, Some(_)) => Gate::Shut,
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
            Standing::Unproven { .. } | Standing::Proven | Standing::Spared { .. } => None,
        }
    }

    /// Spares its key until then. False: that was known.
    pub(super) fn spare(&mut self, until: Instant) -> bool {
        let is_news = self.spared_until().is_none_or(|known| known < until);
        if is_news {
            self.standing = Standing::Spared { until };
        }
        is_news
    }

    /// Until when its key is spared.
    pub(super) fn spared_until(&self) -> Option<Instant> {
        match self.standing {
            Standing::Spared { until } => Some(until),
            Standing::Unproven { .. } | Standing::Proven | Standing::Refused { .. } => None,
        }
    }

    /// Whether the server is not to be asked for it yet.
    pub(super) fn rests(&self, now: Instant) -> bool {
        let until = match self.standing {
            Standing::Unproven { not_before, .. } => Some(not_before),
            Standing::Refused { until, .. } | Standing::Spared { until } => Some(until),
            Standing::Proven => None,
        };
        until.is_some_and(|until| until > now)
    }

    /// The slot that logs in for all, if one login fills all.
    pub(super) fn leader(&self) -> Option<u32> {
        self.slots.first().copied().filter(|_| self.is_shared)
    }

    /// A user that is not proven tries no sooner than then: the server asked for it.
    pub(super) fn put_off(&mut self, then: Instant) {
        if let Standing::Unproven { not_before: at, .. } | Standing::Refused { until: at, .. } =
            &mut self.standing
        {
            *at = (*at).max(then);
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
            Standing::Proven | Standing::Spared { .. } => {}
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
            Standing::Unproven { not_before: at, .. }
            | Standing::Refused { until: at, .. }
            | Standing::Spared { until: at } => *at = (*at).min(now),
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
            Standing::Proven | Standing::Refused { .. } | Standing::Spared { .. } => 0,
        }
    }
}
