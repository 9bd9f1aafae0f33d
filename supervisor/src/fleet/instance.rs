//! One of the wanted workers' places: who works there, who follows, and how soon after a death.

use std::{
    os::fd::RawFd,
    time::{Duration, Instant},
};

use tpp::pool::{Epoch, SeatIndex};

use crate::process::WorkerProcess;

/// A worker that lived this long did not "die at once".
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// Quick ends in a row that are answered without delay.
const FREE_RESTARTS: u32 = 3;
/// Delay after the first quick end beyond those; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// A worker as the fleet sees it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) seat: SeatIndex,
    pub(super) epoch: Epoch,
    pub(super) process: WorkerProcess,
    /// Since when this supervisor looks after it.
    pub(super) in_charge_since: Instant,
    pub(super) ready: bool,
}

/// A place for a worker.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) current: Option<Worker>,
    pub(super) successor: Option<Worker>,
    /// The seat of a worker whose process is being made: the current one if there is none, else a successor.
    pub(super) starting: Option<(SeatIndex, Epoch)>,
    quick_ends: u32,
    start_at: Option<Instant>,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<String>,
}

impl Instance {
    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.current.iter().chain(&self.successor)
    }

    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.current.iter_mut().chain(&mut self.successor)
    }

    pub(super) fn into_workers(self) -> impl Iterator<Item = Worker> {
        self.current.into_iter().chain(self.successor)
    }

    pub(super) fn has(&self, key: RawFd) -> bool {
        self.workers().any(|worker| worker.process.key() == key)
    }

    /// Whether its worker serves.
    pub(super) fn is_ready(&self) -> bool {
        self.current.as_ref().is_some_and(|worker| worker.ready)
    }

    /// Takes out the worker whose process has this key.
    pub(super) fn remove(&mut self, key: RawFd) -> Option<Worker> {
        let is_it = |worker: &mut Worker| worker.process.key() == key;
        self.successor
            .take_if(is_it)
            .or_else(|| self.current.take_if(is_it))
    }

    /// Whether a worker is to be started now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.current.is_none()
            && self.starting.is_none()
            && self.start_at.is_none_or(|at| now >= at)
    }

    /// Puts a ready successor in its forerunner's place, and returns the forerunner, if it still lived.
    pub(super) fn promote_ready_successor(&mut self) -> Option<Option<Worker>> {
        let successor = self.successor.take_if(|worker| worker.ready)?;
        Some(self.current.replace(successor))
    }

    /// Notes that a worker ended unplanned, or (`None`) could not be started, and when the next may start.
    pub(super) fn note_end(&mut self, now: Instant, worker: Option<&Worker>, how: String) {
        let lived = worker.map_or(Duration::ZERO, |worker| {
            now.duration_since(worker.in_charge_since)
        });
        self.restarts += 1;
        self.last_exit = Some(how);
        self.quick_ends = if lived >= STABLE_AFTER {
            0
        } else {
            self.quick_ends + 1
        };
        self.start_at = Some(now + restart_delay(self.quick_ends));
    }

    /// How long until the next start, if it is put off.
    pub(super) fn delay(&self, now: Instant) -> Option<Duration> {
        self.start_at
            .and_then(|at| at.checked_duration_since(now))
            .filter(|delay| !delay.is_zero())
    }
}

/// How long to wait before the next start after `quick_ends` quick ends in a row.
fn restart_delay(quick_ends: u32) -> Duration {
    match quick_ends.checked_sub(FREE_RESTARTS + 1) {
        None => Duration::ZERO,
        Some(doublings) => {
            (FIRST_DELAY * 2_u32.saturating_pow(doublings.min(16))).min(LONGEST_DELAY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_quick_ends_cost_no_delay() {
        for ends in 0..=FREE_RESTARTS {
            assert_eq!(
                restart_delay(ends),
                Duration::ZERO,
                "after {ends} quick ends"
            );
        }
    }

    #[test]
    fn further_quick_ends_double_the_delay_up_to_the_longest() {
        let delays: Vec<_> = (4..14)
            .map(|ends| restart_delay(ends).as_millis())
            .collect();
        assert_eq!(
            delays,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]
        );
        assert_eq!(restart_delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn a_failed_start_counts_as_a_quick_end() {
        let mut instance = Instance::default();
        let now = Instant::now();
        for _ in 0..5 {
            instance.note_end(now, None, "no memory".to_owned());
        }
        assert_eq!(instance.delay(now), Some(Duration::from_millis(200)));
        assert!(!instance.is_due(now));
        assert!(instance.is_due(now + Duration::from_millis(200)));
        assert_eq!(
            (instance.restarts, instance.last_exit.as_deref()),
            (5, Some("no memory"))
        );
    }
}
