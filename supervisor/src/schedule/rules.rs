//! The numbers, and the dice that spread them.

use std::time::{Duration, Instant};

use tpp::config;

/// First wait after trouble, and the shortest of all.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Longest wait after trouble, when many are in it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Longest wait after trouble, when few are in it: a handful of retries burdens nobody.
const LONGEST_BACKOFF_OF_FEW: Duration = Duration::from_secs(5);
/// How long a refused user rests, and up to how much longer.
const REFUSED_REST: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(330));
/// How long a token drawn in the place of one that was turned down is on trial: turned down again meanwhile, it makes
/// no login, or a late one.
pub(super) const CURE_TRIAL: Duration = Duration::from_secs(60);
/// How long a user's first login is waited for before another of its slots tries as well.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Longer times are cut to this: a clock can be asked for no more.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// A server that asks to be left alone for longer is asked again then.
pub(super) const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(3600);
/// So many troubles in a row, over all slots, are an outage.
pub(super) const OUTAGE_TROUBLES: u32 = 3;
/// After an outage the waiting ones try again within this time.
pub(super) const RELEASE_SPREAD: Duration = Duration::from_secs(1);
/// How often that may happen: a server that answers now and then must not be run down.
pub(super) const RELEASE_INTERVAL: Duration = Duration::from_secs(10);

/// What the configuration says about logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a token is good for after its login.
    pub ttl: Duration,
    /// A renewal is due at least this long before the end, if the ttl is long enough; and the schedule is
    /// looked at no less often.
    pub refresh_check: Duration,
    /// Logins under way at once; 0 counts as 1.
    pub login_concurrency: usize,
}

impl From<&config::Token> for Rules {
    fn from(token: &config::Token) -> Self {
        Self {
            ttl: token.ttl,
            refresh_check: token.refresh_check,
            login_concurrency: token.login_concurrency,
        }
    }
}

/// A token, as far as the schedule cares.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) version: u64,
    pub(super) since: Instant,
    pub(super) refresh_at: Instant,
    pub(super) ends_at: Instant,
    /// What the server said of its life, if it did.
    pub(super) expires_in: Option<Duration>,
}

impl Rules {
    /// A token drawn at `since`. What the server said of its life, `expires_in`, counts before the configured ttl.
    pub(super) fn drawn(
        &self,
        version: u64,
        since: Instant,
        expires_in: Option<Duration>,
        dice: &mut Dice,
    ) -> Drawn {
        let ttl = expires_in.unwrap_or(self.ttl).min(FOR_EVER);
        Drawn {
            version,
            since,
            refresh_at: since + self.lifetime(ttl, dice),
            ends_at: since + ttl.max(FIRST_BACKOFF),
            expires_in,
        }
    }

    /// How long after its login a token of this ttl is renewed: three quarters to nine tenths of its ttl, earlier if that
    /// is needed to leave one `refresh_check`, but never before about two fifths.
    pub(super) fn lifetime(&self, ttl: Duration, dice: &mut Dice) -> Duration {
        let ttl = ttl.min(FOR_EVER);
        let in_time = ttl.saturating_sub(self.refresh_check).max(ttl / 2);
        let latest = (ttl * 9 / 10).min(in_time);
        // The window is moved, not cut: cut, it would send all slots at one instant.
        let earliest = latest * 5 / 6;
        dice.between(earliest, latest).max(FIRST_BACKOFF)
    }

    /// How long the schedule may go unlooked at.
    pub(super) fn longest_nap(&self) -> Duration {
        self.refresh_check.min(FOR_EVER)
    }

    /// How many places retries may fill: some stay free for slots that still have their first chance.
    pub(super) fn retry_places(&self) -> usize {
        let places = self.login_concurrency.max(1);
        if places == 1 {
            1
        } else {
            places - (places / 4).max(1)
        }
    }
}

/// Wait after the `failures`th trouble in a row, when a `crowd` is in trouble: full jitter under an exponential bound.
pub(super) fn backoff(failures: u32, crowd: u32, dice: &mut Dice) -> Duration {
    let bound = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(failures));
    let longest = Duration::from_secs(crowd.into()).clamp(LONGEST_BACKOFF_OF_FEW, LONGEST_BACKOFF);
    dice.between(FIRST_BACKOFF, bound.min(longest))
}

/// Wait after the `times`th token too many in a row that was turned down soon.
pub(super) fn storm_backoff(times: u32, dice: &mut Dice) -> Duration {
    backoff(times, u32::MAX, dice)
}

/// Wait after a refusal.
pub(super) fn refused_rest(dice: &mut Dice) -> Duration {
    dice.between(REFUSED_REST.0, REFUSED_REST.1)
}

/// Numbers in `0.0..1.0` from outside, so that a test can know them.
pub(super) struct Dice(Box<dyn FnMut() -> f64 + Send>);

impl Dice {
    pub(super) fn new(roll: impl FnMut() -> f64 + Send + 'static) -> Self {
        Self(Box::new(roll))
    }

    /// A duration between the two, evenly spread.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let roll = (self.0)();
        let share = if roll.is_nan() {
            0.0
        } else {
            roll.clamp(0.0, 1.0)
        };
        least + most.saturating_sub(least).mul_f64(share)
    }
}
