//! Time, coarse: one tick for all connections instead of a timer for each request.
//!
//! `timers` has the deadlines that go by it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use httpdate::HttpDate;
use parking_lot::Mutex;
// The runtime's clock, so that a test may stop it.
use tokio::time::Instant;
use tpp::clock::monotonic_millis;

/// How often the clock is read.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A time that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

/// Milliseconds since the worker began, as of the last tick.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// The same moment by the clock that all processes share.
    began: u64,
    now: AtomicU64,
    date: Mutex<Date>,
}

/// The time of day as a `Date` line, made once a second.
#[derive(Debug)]
struct Date {
    /// Since 1970.
    seconds: u64,
    line: [u8; DATE_LINE],
}

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` and the line's end.
const DATE_LINE: usize = 37;
/// Of the year 9999, beyond which a date has no form.
const LAST_SECOND: u64 = 253_402_300_799;

impl Date {
    fn at(seconds: u64) -> Self {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND));
        let mut line = [b' '; DATE_LINE];
        let text = format!("Date: {}\r\n", HttpDate::from(time));
        line.iter_mut()
            .zip(text.bytes())
            .for_each(|(place, byte)| *place = byte);
        Self { seconds, line }
    }
}

/// Since 1970; a clock that is set to an earlier time stands at its beginning.
fn seconds_now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            began: monotonic_millis(),
            now: AtomicU64::new(0),
            date: Mutex::new(Date::at(seconds_now())),
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> u64 {
        // Relaxed, here and below: one thread writes and reads; the atomics only make the types shareable.
        self.now.load(Relaxed)
    }

    /// The same in milliseconds of the clock that all processes share.
    pub(crate) fn monotonic(&self) -> u64 {
        self.began + self.now()
    }

    /// The time of day as a whole `Date` line (RFC 9110, 6.6.1), as of the last tick.
    pub(crate) fn date_line(&self) -> [u8; DATE_LINE] {
        self.date.lock().line
    }

    /// Reads the time, and returns it. The worker's tick does.
    pub(crate) fn tick(&self) -> u64 {
        let seconds = seconds_now();
        let mut date = self.date.lock();
        if date.seconds != seconds {
            *date = Date::at(seconds);
        }
        drop(date);
        let now = millis(self.origin.elapsed());
        self.now.store(now, Relaxed);
        now
    }
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

/// When `after` is over that began at `begun`, both by the worker's clock; `None`: never.
pub(crate) fn due(begun: u64, after: Option<Duration>) -> u64 {
    // One tick more: the clock may be that much behind.
    after.map_or(NEVER, |after| {
        (begun + millis(TICK)).saturating_add(millis(after))
    })
}
