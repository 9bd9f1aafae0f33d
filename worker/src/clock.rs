//! Time, coarse: one tick for all connections instead of a timer for each request.
//!
//! A connection has one [`Timer`] for its whole life. Setting it is a store to memory; the worker's tick
//! looks at all of them and wakes the few that are due. A deadline is met up to two ticks late, never early.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, SystemTime},
};

use httpdate::HttpDate;
use parking_lot::Mutex;
// The runtime's clock, so that a test may stop it.
use tokio::time::Instant;

use crate::door::standing::Standing;
use crate::leash::Leash;

/// How often the clock is read.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A time that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

/// Milliseconds since the worker began, as of the last tick.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
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
            now: AtomicU64::new(0),
            date: Mutex::new(Date::at(seconds_now())),
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> u64 {
        // Relaxed, here and below: one thread writes and reads; the atomics only make the types shareable.
        self.now.load(Relaxed)
    }

    /// The time of day as a whole `Date` line (RFC 9110, 6.6.1), as of the last tick.
    pub(crate) fn date_line(&self) -> [u8; DATE_LINE] {
        self.date.lock().line
    }

    fn tick(&self) -> u64 {
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

/// One connection's deadline, and what ends it early.
pub(crate) struct Timer {
    /// It goes wherever the timer goes, and is woken with it.
    pub(crate) leash: Leash,
    due: AtomicU64,
    waker: Waker,
    pub(crate) standing: Standing,
}

impl Timer {
    /// Makes the deadline now.
    pub(crate) fn end_wait(&self) {
        self.due.store(0, Relaxed);
        self.waker.wake_by_ref();
    }

    /// Ends the connection, whatever it is doing.
    pub(crate) fn cut(&self) {
        self.standing.cut();
        self.waker.wake_by_ref();
    }

    /// Whether the connection is to end, whatever it is doing.
    pub(crate) fn is_cut(&self) -> bool {
        self.standing.is_cut()
    }

    /// Sets the deadline to `after` from now; `None`: no deadline.
    pub(crate) fn set(&self, clock: &Clock, after: Option<Duration>) {
        self.set_due(due(clock.now(), after));
    }

    /// Sets the deadline to a time of the worker's clock.
    pub(crate) fn set_due(&self, due: u64) {
        self.due.store(due, Relaxed);
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_due(&self, clock: &Clock) -> bool {
        self.due.load(Relaxed) <= clock.now()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

/// The timers of all connections.
#[derive(Debug, Default)]
pub(crate) struct Timers(Mutex<Vec<Arc<Timer>>>);

impl Timers {
    /// A timer for the task that `waker` wakes. It lives as long as the connection keeps it.
    pub(crate) fn add(&self, waker: Waker) -> Arc<Timer> {
        let timer = Arc::new(Timer {
            leash: Leash::default(),
            due: AtomicU64::new(NEVER),
            waker,
            standing: Standing::default(),
        });
        self.0.lock().push(Arc::clone(&timer));
        timer
    }

    /// Wakes all, to look at their leases.
    pub(crate) fn wake_all(&self) {
        let timers = self.0.lock();
        timers.iter().for_each(|timer| timer.waker.wake_by_ref());
    }

    /// Reads the clock and wakes those that are due.
    pub(crate) fn tick(&self, clock: &Clock) {
        let now = clock.tick();
        self.0.lock().retain(|timer| {
            if timer.due.load(Relaxed) <= now {
                timer.waker.wake_by_ref();
            }
            Arc::strong_count(timer) > 1
        });
    }

    /// Does `what` to each.
    pub(crate) fn for_each(&self, mut what: impl FnMut(&Timer)) {
        self.0.lock().iter().for_each(|timer| what(timer));
    }
}
