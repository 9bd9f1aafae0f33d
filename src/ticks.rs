//! A steady tick of the kernel's (timerfd_create(2)).
//!
//! A timer of the runtime's that is set anew at each tick costs four looks at the system a tick, and gives every wait for the network
//! an end, for which the kernel sets and clears a timer of its own each time. This one costs two, and no wait but its own.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// A tick, the first at once. Readable when one has come; two are never nearer to each other than the pace, whatever was missed.
#[derive(Debug)]
pub struct Ticks {
    timer: TimerFd,
    pace: Duration,
}

impl Ticks {
    /// One every `pace`, by the monotonic clock.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn every(pace: Duration) -> nix::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let ticks = Self { timer, pace };
        // No time at all would disarm it.
        ticks.begin_after(Duration::from_nanos(1))?;
        Ok(ticks)
    }

    /// Takes the tick that has come. False: none has.
    #[must_use]
    pub fn take(&self) -> bool {
        let mut count = [0; size_of::<u64>()];
        if nix::unistd::read(&self.timer, &mut count) != Ok(count.len()) {
            return false;
        }
        if u64::from_ne_bytes(count) > 1 {
            // Whoever is late, after a stop perhaps, is to have as long to the next one as ever. Only a time that is no time is refused.
            let _ = self.begin_after(self.pace);
        }
        true
    }

    fn begin_after(&self, first: Duration) -> nix::Result<()> {
        let times = Expiration::IntervalDelayed(
            TimeSpec::from_duration(first),
            TimeSpec::from_duration(self.pace),
        );
        self.timer.set(times, TimerSetTimeFlags::empty())
    }
}

impl AsFd for Ticks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsRawFd for Ticks {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn wait(ticks: &Ticks) {
        let mut asked = [PollFd::new(ticks.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut asked, PollTimeout::NONE), Ok(1));
    }

    #[test]
    fn the_first_comes_at_once_and_the_next_after_the_pace() {
        let pace = Duration::from_millis(20);
        let begun = Instant::now();
        let ticks = Ticks::every(pace).unwrap();
        for number in 0..3 {
            wait(&ticks);
            assert!(begun.elapsed() >= number * pace);
            assert!(ticks.take());
        }
        let long = Ticks::every(Duration::from_secs(3600)).unwrap();
        wait(&long);
        assert!(long.take());
        assert!(!long.take());
    }

    #[test]
    fn those_that_were_missed_are_one_and_the_next_is_a_pace_away() {
        let pace = Duration::from_millis(20);
        let ticks = Ticks::every(pace).unwrap();
        std::thread::sleep(5 * pace);
        let late = Instant::now();
        assert!(ticks.take());
        wait(&ticks);
        assert!(late.elapsed() >= pace);
    }
}
