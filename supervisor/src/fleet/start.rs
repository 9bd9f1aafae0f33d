//! Starting workers. To make a process of a large one, or to read its file from a slow disk, takes the system a while: each
//! is started on a thread of its own, and the fleet goes on meanwhile.

use std::{io, time::Instant};

use tokio::task::spawn_blocking;
use tpp::pool::{Epoch, SeatIndex};
use tracing::{error, info};

use super::{Fleet, Worker};
use crate::process::{WorkerProcess, start::Start};

/// What came of a start.
pub(super) struct Started {
    seat: (SeatIndex, Epoch),
    process: io::Result<WorkerProcess>,
}

impl Fleet {
    /// Starts a worker for each instance that has none, and is due to have one.
    pub(super) fn fill_instances(&mut self, now: Instant) {
        for at in 0..self.instances.len() {
            if self.instances[at].is_due(now) {
                self.start_worker(at);
            }
        }
    }

    /// Starts a worker for an instance: its first one, or a successor.
    pub(super) fn start_worker(&mut self, at: usize) {
        if self.next.is_some() {
            // Called soon, and it would not know of a process that is only being made.
            return;
        }
        let Some(seat) = self.stock.fill_seat(self.launch.fingerprint()) else {
            return self.not_started(at, "all seats are taken".to_owned());
        };
        self.instances[at].starting = Some(seat);
        let start = Start::prepare(&self.launch, &self.stock, seat);
        self.starting.spawn(async move {
            let process = match start {
                Ok(start) => spawn_blocking(|| start.run()).await,
                Err(error) => Ok(Err(error)),
            };
            let process = process.unwrap_or_else(|error| Err(io::Error::other(error)));
            Started { seat, process }
        });
    }

    pub(super) fn worker_started(&mut self, Started { seat, process }: Started) {
        let mut instances = self.instances.iter_mut();
        let at =
            instances.position(|instance| instance.starting.take_if(|it| *it == seat).is_some());
        let (seat, epoch) = seat;
        let followed = process.and_then(|process| {
            self.stock.set_pid(seat, process.pid);
            self.follow(&process)?;
            Ok(process)
        });
        match (followed, at) {
            (Ok(process), Some(at)) => self.begin_work(at, (seat, epoch), process),
            (Ok(process), None) => {
                // Not wanted any more, and it has not begun.
                process.kill();
                let now = Instant::now();
                let deadline = self.exit_deadline(now);
                self.leaving.push((worker(seat, epoch, process), deadline));
            }
            (Err(source), at) => {
                // Should there be a process already: without our word it ends as its channel does.
                self.stock.reclaim(seat);
                if let Some(at) = at {
                    self.not_started(at, format!("start a process: {source}"));
                }
            }
        }
    }

    fn begin_work(&mut self, at: usize, (seat, epoch): (SeatIndex, Epoch), process: WorkerProcess) {
        let mut worker = worker(seat, epoch, process);
        // From here on a successor of ours finds it.
        worker.process.let_begin(self.front.as_deref(), &self.plan);
        info!(worker = %seat, pid = worker.process.pid, %epoch, "worker started");
        let instance = &mut self.instances[at];
        if instance.current.is_some() {
            instance.successor = Some(worker);
            return;
        }
        instance.current = Some(worker);
        // As new as a successor would be, unless what it was given has changed meanwhile.
        self.to_replace.retain(|one| *one != at);
        self.enqueue_outdated();
    }

    fn not_started(&mut self, at: usize, reason: String) {
        error!(reason, "worker not started");
        self.give_up_replacing(&format!("worker not started: {reason}"));
        self.instances[at].note_end(Instant::now(), None, reason);
    }

    /// Calls the next supervisor, once it can be told of all workers.
    pub(super) fn hand_over_if_due(&mut self) {
        if self.starting.is_empty()
            && let Some(next) = self.next.take()
        {
            self.hand_over(next);
        }
    }
}

fn worker(seat: SeatIndex, epoch: Epoch, process: WorkerProcess) -> Worker {
    Worker {
        seat,
        epoch,
        process,
        in_charge_since: Instant::now(),
        ready: false,
    }
}
