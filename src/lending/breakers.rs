//! The supervisor's half of breakers: what they say, and how they are closed by hand. Workers ask them ([`super::Desk::ask`]).

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    clock::monotonic_millis,
    config::CircuitBreaker,
    limits::{Breaker, BreakerLook, BreakerPolicy, BreakerRules, BreakerState, ShareRules},
};

use super::{passage::BreakerAt, stock::Stock};

/// What `[virtual_hosts.circuit_breaker]` asks for, whether it is enabled or not.
#[must_use]
pub fn breaker_policy(breaker: &CircuitBreaker) -> BreakerPolicy {
    let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    BreakerPolicy {
        rules: BreakerRules {
            failure_threshold: u16::try_from(breaker.failure_threshold).unwrap_or(u16::MAX),
            recovery: breaker.recovery_timeout,
            half_open: small(breaker.half_open_requests),
        },
        shares: (breaker.failure_rate_percent > 0).then(|| ShareRules {
            percent: u64::from(breaker.failure_rate_percent),
            least: u64::from(breaker.min_requests),
            time: breaker.window,
        }),
    }
}

impl Stock {
    fn breaker(&self, at: BreakerAt) -> Option<Breaker<'_>> {
        let word = match at {
            BreakerAt::Host(row) => &self.region.hosts()?.rows.get(row)?.breaker,
            BreakerAt::Pair(row) => &self.region.pairs()?.rows.get(row)?.breaker,
        };
        Some(Breaker::new(word))
    }

    /// What a breaker says now; one that does not exist is closed.
    #[must_use]
    pub fn breaker_look(&self, at: BreakerAt, rules: BreakerRules) -> BreakerLook {
        let look = self
            .breaker(at)
            .map(|one| one.look(rules, monotonic_millis()));
        look.unwrap_or(BreakerLook {
            state: BreakerState::Closed,
            failures: 0,
            after: std::time::Duration::ZERO,
        })
    }

    /// Closes a breaker, whatever it says; what failed before counts no more.
    pub fn reset_breaker(&self, at: BreakerAt) {
        // The window first: a failure in between could open it again by what is to be forgotten.
        if let BreakerAt::Host(row) = at
            && let Some(host) = self.region.hosts().and_then(|table| table.rows.get(row))
        {
            // Relaxed: each word stands for itself; one that is counted at this moment may count or not.
            host.window
                .iter()
                .for_each(|bucket| bucket.store(0, Relaxed));
        }
        if let Some(breaker) = self.breaker(at) {
            breaker.reset(monotonic_millis());
        }
    }
}
