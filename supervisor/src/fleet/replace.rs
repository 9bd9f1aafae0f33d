//! Replacing workers one by one: a successor first; once it is ready its forerunner drains, and the next instance's turn comes.

use std::time::Instant;

use tracing::{error, info};

use super::{Fleet, Instance};

impl Fleet {
    /// Has the worker of an instance replaced when its turn comes.
    pub(super) fn enqueue(&mut self, at: usize) {
        if !self.to_replace.contains(&at) {
            self.to_replace.push_back(at);
        }
    }

    /// The same of all instances that have one.
    pub(super) fn enqueue_all(&mut self) {
        for at in 0..self.instances.len() {
            if self.instances[at].current.is_some() {
                self.enqueue(at);
            }
        }
    }

    /// Has those replaced that were given other things at their start than a worker would be given now.
    pub(super) fn enqueue_outdated(&mut self) {
        for at in 0..self.instances.len() {
            if self.is_outdated(at) {
                self.enqueue(at);
            }
        }
    }

    fn is_outdated(&self, at: usize) -> bool {
        let wanted = self.launch.fingerprint();
        let current = self.instances[at].current.as_ref();
        current.is_some_and(|worker| self.stock.pool().seats[worker.seat.get()].launch() != wanted)
    }

    /// Puts successors that are ready in their forerunners' places, and starts the next one.
    pub(super) fn replace_next(&mut self, now: Instant) {
        for at in 0..self.instances.len() {
            if let Some(forerunner) = self.instances[at].promote_ready_successor() {
                if let Some(forerunner) = forerunner {
                    self.order_out(forerunner, now);
                }
                self.to_replace.retain(|one| *one != at);
                // The sockets may have changed while it started.
                if self.is_outdated(at) {
                    self.enqueue(at);
                }
            }
        }
        let Some(&at) = self.to_replace.front() else {
            return;
        };
        let instance = &self.instances[at];
        let is_under_way = instance.successor.is_some() || instance.starting.is_some();
        if !is_under_way && instance.delay(now).is_none() {
            self.start_worker(at);
        }
    }

    /// Once nothing is left to do: says so to whoever waits for it.
    pub(super) fn answer_if_settled(&mut self) {
        let all_ready = self.instances.iter().all(Instance::is_ready);
        if !all_ready || !self.to_replace.is_empty() {
            return;
        }
        self.dismiss_former(Instant::now());
        if self.askers.is_empty() {
            return;
        }
        let done = format!("{} workers ready", self.instances.len());
        info!("{done}");
        for asker in self.askers.drain(..) {
            // Whoever asked may have gone.
            let _ = asker.send(Ok(done.clone()));
        }
    }

    /// Leaves the workers that are not replaced yet as they are, and says so to whoever waits. Those that lack something
    /// that a new one would have are tried again later all the same.
    pub(super) fn give_up_replacing(&mut self, reason: &str) {
        let was_replacing = !self.to_replace.is_empty();
        self.to_replace.clear();
        self.enqueue_outdated();
        if was_replacing || !self.askers.is_empty() {
            error!(reason, "workers not replaced");
        }
        for asker in self.askers.drain(..) {
            // Whoever asked may have gone.
            let _ = asker.send(Err(reason.to_owned()));
        }
    }
}
