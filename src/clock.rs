//! The clocks: the monotonic one that all processes of one machine share, and the one that people read.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since an arbitrary point in the past, the same in every process, never 0. Unlike [`monotonic_millis`] it
/// goes on while the machine is suspended: tokens age meanwhile.
#[must_use]
pub fn boot_millis() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has a boot-time clock");
    // Neither part is negative.
    let (seconds, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
    (seconds * 1000 + nanos / 1_000_000).max(1)
}

/// The same in nanoseconds.
#[must_use]
pub fn boot_nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has a boot-time clock");
    // Neither part is negative.
    let (seconds, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

/// Milliseconds since an arbitrary point in the past, the same in every process; coarse (a few milliseconds),
/// never 0, without a system call.
#[must_use]
pub fn monotonic_millis() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("Linux has a coarse monotonic clock");
    // Neither part of a monotonic time is negative.
    let (seconds, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
    (seconds * 1000 + nanos / 1_000_000).max(1)
}

/// Nanoseconds since an arbitrary point in the past, the same in every process, without a system call.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    // Neither part of a monotonic time is negative.
    let (seconds, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

/// Milliseconds since 1970; 0 for a clock that is set before it.
#[must_use]
pub fn unix_millis() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// Seconds since 1970; 0 for a clock that is set before it.
#[must_use]
pub fn unix_seconds() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}
