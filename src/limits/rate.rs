//! So many in a time: the generic cell rate algorithm, whose whole state is one time.
//!
//! The word is the time at which all that was admitted is paid off: the theoretical arrival time. Each request moves it on by
//! what one costs; one that would move it further ahead of now than the burst allows is refused. A word whose time has passed says
//! nothing: an unused limit needs no care.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::sync::AtomicU64;

/// What a [`Rate`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What one request costs, nanoseconds.
    pub(super) cost: u64,
    /// How far ahead of now the word may be, nanoseconds.
    pub(super) ahead: u64,
}

/// Too much at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When one would be admitted, if nobody else comes first.
    pub after: Duration,
}

impl Quota {
    /// `requests` in each `time`, and up to `burst` at once. `None`: nothing would ever be admitted, or it cannot be counted in
    /// nanoseconds.
    #[must_use]
    pub fn new(requests: u64, time: Duration, burst: u64) -> Option<Self> {
        let time = u64::try_from(time.as_nanos()).ok()?;
        // Rounded up: never more than was said.
        let cost = time
            .checked_next_multiple_of(requests)?
            .checked_div(requests)?;
        let ahead = cost.checked_mul(burst).filter(|&ahead| ahead > 0)?;
        // Half of the numbers are for the clock.
        (ahead < u64::MAX / 2).then_some(Self { cost, ahead })
    }
}

/// A view of one limit's word. Zeroed memory is an unused one.
#[derive(Debug, Clone, Copy)]
pub struct Rate<'a>(&'a AtomicU64);

impl<'a> Rate<'a> {
    /// Over `word`.
    #[must_use]
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Admits one request at `now` (nanoseconds of a clock that all processes share), and returns how many more could
    /// follow at once.
    ///
    /// # Errors
    /// If that is more than `quota` allows; nothing is changed then.
    pub fn admit(self, quota: Quota, now: u64) -> Result<u64, Refused> {
        let mut paid_off = None;
        // Relaxed: the exchange on the one word is all there is; nothing else is passed on with it.
        let moved = self.0.fetch_update(Relaxed, Relaxed, |before| {
            let after = before.max(now).saturating_add(quota.cost);
            let fits = after - now <= quota.ahead;
            paid_off = Some(after);
            fits.then_some(after)
        });
        let after = paid_off.unwrap_or(now);
        match moved {
            Ok(_) => Ok((quota.ahead - (after - now)) / quota.cost),
            Err(_) => Err(Refused {
                after: Duration::from_nanos((after - now).saturating_sub(quota.ahead)),
            }),
        }
    }

    /// Takes back what was admitted and not done, since another limit refused it.
    pub fn give_back(self, quota: Quota) {
        // Relaxed: see `admit`. What has been paid off meanwhile is given back all the same: the word says less than now then,
        // and that says nothing.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            Some(word.saturating_sub(quota.cost))
        });
    }
}
