//! The kernel's timer that ends this process, should it be stopped while it holds what another host may soon have.
//!
//! A worker looks at deadlines when it runs. One that is stopped, be it between such a look and the `write` that follows, or with
//! its whole machine frozen, looks at nothing, and would send a byte when it goes on. The signal needs no process that runs: it is
//! there before the first instruction is.

use std::cell::RefCell;

use nix::{
    errno::Errno,
    sys::{
        signal::{SigEvent, SigevNotify, Signal},
        time::TimeSpec,
        timer::{Expiration, Timer, TimerSetTimeFlags},
    },
    time::ClockId,
};

/// The timer and what it is set to.
#[derive(Debug, Default)]
struct Fence {
    /// Made when it is needed first.
    timer: Option<Timer>,
    /// Milliseconds of the boot clock; `None`: it is not set.
    due: Option<u64>,
}

thread_local! {
    // A worker is one thread: this is the process's. A timer cannot be shared with another thread.
    static FENCE: RefCell<Fence> = RefCell::default();
}

impl Fence {
    fn set(&mut self, due: Option<u64>) -> Result<(), Errno> {
        if self.due == due {
            return Ok(());
        }
        let timer = match &mut self.timer {
            Some(timer) => timer,
            none => {
                let kill = SigevNotify::SigevSignal {
                    signal: Signal::SIGKILL,
                    si_value: 0,
                };
                // The clock that goes on in suspend, as the deadlines do.
                let timer = Timer::new(ClockId::CLOCK_BOOTTIME, SigEvent::new(kill))?;
                none.insert(timer)
            }
        };
        timer.set(expiration(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.due = due;
        Ok(())
    }
}

/// One time, absolute; `None`: no time at all, which is what 0 means.
fn expiration(due: Option<u64>) -> Expiration {
    // A time that has passed is one all the same.
    let millis = due.map_or(0, |due| i64::try_from(due.max(1)).unwrap_or(i64::MAX));
    Expiration::OneShot(TimeSpec::new(millis / 1000, millis % 1000 * 1_000_000))
}

/// Has this process killed at `due`, milliseconds of the boot clock, unless that is put off; `None`: never.
///
/// # Errors
/// If the system has no timer to give; what was set before stays.
pub(crate) fn set(due: Option<u64>) -> Result<(), Errno> {
    FENCE.with_borrow_mut(|fence| fence.set(due))
}

/// The same, but a nearer time that is set stays.
///
/// # Errors
/// As [`set`].
pub(crate) fn bring_nearer(due: u64) -> Result<(), Errno> {
    FENCE.with_borrow_mut(|fence| {
        let nearest = fence.due.map_or(due, |set| set.min(due));
        fence.set(Some(nearest))
    })
}

#[cfg(test)]
mod tests {
    use tpp::clock::boot_millis;

    use super::*;

    /// What the kernel would do, and in how many milliseconds.
    fn left() -> Option<u64> {
        FENCE.with_borrow(|fence| match fence.timer.as_ref()?.get().unwrap()? {
            Expiration::OneShot(left) => {
                Some(u64::try_from(left.tv_sec() * 1000 + left.tv_nsec() / 1_000_000).unwrap())
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_nearest_time_is_set_until_another_is_said() {
        let now = boot_millis();
        assert_eq!(left(), None);
        bring_nearer(now + 1_000_000).unwrap();
        assert!(left().is_some_and(|left| (900_000..=1_000_000).contains(&left)));
        bring_nearer(now + 2_000_000).unwrap();
        assert!(
            left().is_some_and(|left| left <= 1_000_000),
            "the nearer one stays"
        );
        bring_nearer(now + 500_000).unwrap();
        assert!(left().is_some_and(|left| left <= 500_000));
        set(Some(now + 3_000_000)).unwrap();
        assert!(left().is_some_and(|left| left > 2_000_000), "put off");
        set(None).unwrap();
        assert_eq!(left(), None);
    }
}
