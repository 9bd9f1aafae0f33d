//! What the checks of one backend came to: pure rules, which take the time and the dice.

use std::time::Duration;

use super::rules::Rules;

/// While a backend's state is about to turn it is asked so many times as often.
const HASTE: u32 = 5;
/// Half the width of what an interval is spread over, as a part of it.
const JITTER: f64 = 0.1;

/// Whether a backend can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers as it should.
    Up,
    /// It does not.
    Down,
}

/// What is known of a backend before its first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Nothing, and it is taken to be up: all begin so when tpp itself begins, or nothing could be served at first.
    Assumed,
    /// Nothing, and it is down until one check has passed: one that joins others that serve.
    Unproved,
    /// What the supervisor before found.
    Inherited(Health),
}

/// The checks of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    health: Health,
    /// No check has passed or failed often enough yet to say that it is what it is: one that passes is enough.
    unproved: bool,
    /// Whether a check has ended at all.
    looked: bool,
    /// Checks in a row that spoke against its state.
    against: u32,
    /// Since when it is what it is, Unix seconds.
    since: u64,
    /// Why the last check that failed did.
    last_error: Option<String>,
    passed: u64,
    failed: u64,
}

impl Record {
    /// Of a backend that has not been checked, at `now`, Unix seconds.
    #[must_use]
    pub fn new(begin: Begin, now: u64) -> Self {
        let health = match begin {
            Begin::Assumed => Health::Up,
            Begin::Unproved => Health::Down,
            Begin::Inherited(health) => health,
        };
        Self {
            health,
            unproved: begin == Begin::Unproved,
            looked: false,
            against: 0,
            since: now,
            last_error: None,
            passed: 0,
            failed: 0,
        }
    }

    /// Notes a check that passed, or why it failed, at `now`, Unix seconds. Whether that turned the backend's state.
    pub fn note(&mut self, result: Result<(), String>, rules: &Rules, now: u64) -> bool {
        self.looked = true;
        let seen = if result.is_ok() {
            self.passed += 1;
            Health::Up
        } else {
            self.failed += 1;
            Health::Down
        };
        if let Err(reason) = result {
            self.last_error = Some(reason);
        }
        if seen == self.health {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = match self.health {
            Health::Down if self.unproved => 1,
            Health::Down => rules.healthy_threshold,
            Health::Up => rules.unhealthy_threshold,
        };
        if self.against < enough {
            return false;
        }
        self.health = seen;
        self.unproved = false;
        self.against = 0;
        self.since = now;
        true
    }

    /// How long after its last check the next one is due; `dice` is from 0 to 1.
    #[must_use]
    pub fn pause(&self, rules: &Rules, dice: f64) -> Duration {
        let is_turning = self.against > 0 || self.unproved;
        let interval = if is_turning {
            rules.interval / HASTE
        } else {
            rules.interval
        };
        interval.mul_f64(1.0 + JITTER * (2.0 * dice - 1.0))
    }

    /// How long before its first check; `dice` is from 0 to 1. Those that begin together are spread; one that waits to serve is not kept
    /// waiting.
    #[must_use]
    pub fn first_pause(&self, rules: &Rules, dice: f64) -> Duration {
        if self.unproved {
            return Duration::ZERO;
        }
        (rules.interval / HASTE).mul_f64(dice)
    }

    /// Whether it can serve.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether at least one check has ended.
    #[must_use]
    pub fn has_been_looked_at(&self) -> bool {
        self.looked
    }

    /// Since when it is what it is, Unix seconds.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Why the last check that failed did.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Checks that passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Checks that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }
}

#[cfg(test)]
mod tests;
