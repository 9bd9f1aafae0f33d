//! Time, coarse: one tick for all connections instead of a timer for each request.
//!
//! `timers` has the deadlines that go by it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use httpdate::HttpDate;
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
    /// When the worker began, by the time of day as of the last tick, nanoseconds since 1970.
    wall_origin: AtomicU64,
    date: Date,
}

/// The time of day as a `Date` line, made once a second.
#[derive(Debug)]
struct Date {
    /// Since 1970.
    seconds: AtomicU64,
    /// The line's bytes, in words: each head has it, and a lock a head costs more than the line does.
    line: [AtomicU64; DATE_WORDS],
}

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` and the line's end.
const DATE_LINE: usize = 37;
const DATE_WORDS: usize = DATE_LINE.div_ceil(size_of::<u64>());
/// Of the year 9999, beyond which a date has no form.
const LAST_SECOND: u64 = 253_402_300_799;

// Relaxed throughout: one thread writes and reads; the atomics only make the types shareable.
impl Date {
    fn at(seconds: u64) -> Self {
        let date = Self {
            seconds: AtomicU64::new(0),
            line: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        date.set(seconds);
        date
    }

    fn set(&self, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND));
        let mut text = format!("Date: {}\r\n", HttpDate::from(time)).into_bytes();
        text.resize(DATE_WORDS * size_of::<u64>(), b' ');
        for (word, bytes) in self.line.iter().zip(text.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Relaxed);
        }
        self.seconds.store(seconds, Relaxed);
    }

    fn line(&self) -> [u8; DATE_LINE] {
        let mut line = [0; DATE_LINE];
        for (word, bytes) in self.line.iter().zip(line.chunks_mut(size_of::<u64>())) {
            let word = word.load(Relaxed).to_ne_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        line
    }
}

/// Since 1970; a clock that is set to an earlier time stands at its beginning.
fn wall_now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            began: monotonic_millis(),
            now: AtomicU64::new(0),
            wall_origin: AtomicU64::new(nanos(wall_now())),
            date: Date::at(wall_now().as_secs()),
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> u64 {
        // Relaxed, here and below: as of the date.
        self.now.load(Relaxed)
    }

    /// The same in milliseconds of the clock that all processes share.
    pub(crate) fn monotonic(&self) -> u64 {
        self.began + self.now()
    }

    /// The time of day as a whole `Date` line (RFC 9110, 6.6.1), as of the last tick.
    pub(crate) fn date_line(&self) -> [u8; DATE_LINE] {
        self.date.line()
    }

    /// The time of day of a moment not before the worker began, since 1970: as the last tick had it, without asking for it once more.
    pub(crate) fn wall(&self, at: Instant) -> Duration {
        Duration::from_nanos(self.wall_origin.load(Relaxed))
            + at.saturating_duration_since(self.origin)
    }

    /// Reads the time, and returns it. The worker's tick does.
    pub(crate) fn tick(&self) -> u64 {
        let (elapsed, wall) = (self.origin.elapsed(), wall_now());
        let seconds = wall.as_secs();
        if self.date.seconds.load(Relaxed) != seconds {
            self.date.set(seconds);
        }
        let wall_origin = nanos(wall).saturating_sub(nanos(elapsed));
        self.wall_origin.store(wall_origin, Relaxed);
        let now = millis(elapsed);
        self.now.store(now, Relaxed);
        now
    }
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1000);
    seconds.saturating_add(duration.subsec_millis().into())
}

/// The same in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos().into())
}

/// When `after` is over that began at `begun`, both by the worker's clock; `None`: never.
// Not in each of the dozen places that a request comes to.
#[inline(never)]
pub(crate) fn due(begun: u64, after: Option<Duration>) -> u64 {
    // One tick more: the clock may be that much behind.
    after.map_or(NEVER, |after| {
        (begun + millis(TICK)).saturating_add(millis(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_goes_on_between_ticks_and_follows_the_systems() {
        let clock = Clock::new();
        let begun = clock.wall(Instant::now());
        assert!(wall_now() - begun < Duration::from_secs(60));
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        tokio::time::advance(second).await;
        assert_eq!(clock.wall(Instant::now()), begun + second);
        // This clock ran an hour ahead of the system's: as if that had been set back.
        tokio::time::advance(hour).await;
        clock.tick();
        assert!(clock.wall(Instant::now()) < begun + hour);
    }

    #[test]
    fn a_line_says_the_second_it_was_set_to() {
        let date = Date::at(784_111_777);
        assert_eq!(&date.line(), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        date.set(784_111_778);
        assert_eq!(&date.line(), b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
        date.set(u64::MAX);
        assert_eq!(&date.line(), b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n");
    }
}
