//! The clock by which tokens age: it goes on while the machine is suspended.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use tpp::clock::boot_millis;

/// Longest sleep at a time: a sleep stands still in suspend, so the clock is looked at again soon after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// One moment by both clocks.
static BEGIN: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), boot_millis()));

/// Now. An `Instant` alone would not have noticed a suspend.
pub(crate) fn now() -> Instant {
    at(*BEGIN, boot_millis())
}

/// What `reading` of [`boot_millis`] is as an instant, of a moment by both clocks.
fn at((begin, millis): (Instant, u64), reading: u64) -> Instant {
    begin + Duration::from_millis(reading.saturating_sub(millis))
}

/// `at`, in milliseconds of [`boot_millis`]: the same whenever it is asked.
pub(super) fn to_boot_millis(at: Instant) -> u64 {
    let (begin, millis) = *BEGIN;
    let since = at.saturating_duration_since(begin);
    millis.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The instant of `millis` of [`boot_millis`]; what is past is now.
pub(super) fn from_boot_millis(millis: u64) -> Instant {
    now() + Duration::from_millis(millis.saturating_sub(boot_millis()))
}

/// Waits until [`now`] is `until`.
pub(super) async fn sleep_until(until: Instant) {
    loop {
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_of_a_moment_agree() {
        let at = now() + Duration::from_secs(300);
        let back = from_boot_millis(to_boot_millis(at));
        let apart = back.max(at) - back.min(at);
        assert!(apart < Duration::from_secs(30), "{apart:?}");
        assert!(from_boot_millis(1) <= now(), "the past is now");
    }

    /// In suspend the one clock stands still and the other does not.
    #[test]
    fn what_a_machine_has_slept_is_time_gone_by() {
        let begin = (Instant::now(), 5_000);
        assert_eq!(at(begin, 5_000), begin.0);
        let slept = Duration::from_secs(8 * 3600);
        assert_eq!(at(begin, 5_000 + 8 * 3600 * 1000), begin.0 + slept);
        assert_eq!(at(begin, 4_999), begin.0, "no earlier than it began");
    }

    #[tokio::test]
    async fn a_sleep_ends_no_sooner_than_it_should() {
        let until = now() + Duration::from_millis(20);
        sleep_until(until).await;
        assert!(now() >= until);
    }
}
