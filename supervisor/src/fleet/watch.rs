//! Looking after the workers that run: who is ready, who drains, who hangs, who does not end in time.

use std::time::{Duration, Instant};

use tpp::roster::SeatState;
use tracing::{error, info, warn};

use super::Fleet;

/// A worker whose heartbeat stands still this long is passed by: the line goes on without it.
pub(super) const PASS_BY_AFTER: Duration = Duration::from_secs(1);
impl Fleet {
    pub(super) fn note_states(&mut self, now: Instant) {
        let mut draining = Vec::new();
        for (at, instance) in self.instances.iter_mut().enumerate() {
            for worker in instance.workers_mut() {
                let state = self.stock.pool().seats[worker.seat.get()].word().state;
                if !worker.ready && state == SeatState::Ready {
                    worker.ready = true;
                    info!(worker = %worker.seat, pid = worker.process.pid, epoch = %worker.epoch, "worker ready");
                }
                if state == SeatState::Draining {
                    draining.push((at, worker.process.key()));
                }
            }
        }
        // Told by somebody else: its place is taken by another one at once, not when it has ended.
        let deadline = self.exit_deadline(now);
        for (at, key) in draining {
            if let Some(worker) = self.instances[at].remove(key) {
                warn!(worker = %worker.seat, pid = worker.process.pid, "worker drains unasked");
                self.leaving.push((worker, deadline));
            }
        }
    }

    pub(super) fn judge_heartbeats(&mut self, now: Instant) {
        for worker in self.workers() {
            // One that was just taken over is judged by what it does from now on.
            let seen = worker.in_charge_since;
            let age = Duration::from_millis(self.stock.heartbeat_age(worker.seat))
                .min(now.duration_since(seen));
            let seat = self.stock.pool().seats[worker.seat.get()].word();
            if age > self.wanted.worker_timeout {
                let age_ms = age.as_millis();
                if worker.process.kill() {
                    error!(worker = %worker.seat, pid = worker.process.pid, age_ms, "worker hangs: killing it");
                }
            } else if age > PASS_BY_AFTER && !seat.stalled {
                warn!(worker = %worker.seat, pid = worker.process.pid, age_ms = age.as_millis(),
                    "worker does not respond: the line passes it by");
                self.stock.pass_by(worker.seat);
            }
        }
    }

    /// On a replacement, who stands in line is not thrown out: a worker that drains has time as long as somebody waits in it, and
    /// then the time to serve the last of them.
    pub(super) fn leave_time_to_wait(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        let deadline = self.exit_deadline(now);
        for (worker, until) in &mut self.leaving {
            if self.stock.pool().lines[worker.seat.get()].waiting() > 0 {
                *until = deadline;
            }
        }
    }

    pub(super) fn kill_overdue(&self, now: Instant) {
        let leaving = self.leaving.iter();
        let leaving = leaving.map(|(worker, deadline)| (&worker.process, Some(*deadline)));
        let former = self.former.iter();
        let former = former.map(|(process, deadline)| (process, *deadline));
        for (process, deadline) in leaving.chain(former) {
            if deadline.is_some_and(|deadline| now > deadline) && process.kill() {
                warn!(pid = process.pid, "worker did not end in time: killing it");
            }
        }
    }
}
