//! Workers that another supervisor started: taken over, and left in turn to the next one.

use std::{io, os::fd::OwnedFd, time::Instant};

use tpp::{estate::Role, pool::SeatState};
use tracing::{error, info};

use super::{Fleet, Heir, Worker, tell_to_drain};
use crate::{process::WorkerProcess, succession::Adopted, systemd};

impl Fleet {
    /// Takes over a predecessor's workers. Those that serve stay at work; those that drain, and those that are too
    /// many, end.
    pub(crate) fn adopt(&mut self, workers: Vec<Adopted>) {
        let now = Instant::now();
        for (seat, epoch, process) in workers {
            let state = self.stock.pool().seats[seat.get()].word().state;
            info!(worker = %seat, pid = process.pid, %epoch, ?state, "worker taken over");
            self.follow(&process);
            if state == SeatState::Starting {
                // Its supervisor may have died before it said so. Said twice it means nothing more.
                process.let_begin();
            }
            let worker = Worker {
                seat,
                epoch,
                process,
                in_charge_since: now,
                ready: state == SeatState::Ready,
            };
            let serves = matches!(state, SeatState::Starting | SeatState::Ready);
            let mut posts = self.posts.iter_mut();
            match posts.find(|post| serves && post.current.is_none()) {
                Some(post) => post.current = Some(worker),
                None => self.order_out(worker, now),
            }
        }
    }

    /// Takes over workers that sit in no seat of this pool: they go on until ours are ready.
    pub(crate) fn adopt_strangers(&mut self, strangers: Vec<WorkerProcess>) {
        for process in strangers {
            let pid = process.pid;
            info!(
                pid,
                "worker of the former pool: it drains when others are ready"
            );
            self.follow(&process);
            self.strangers.push((process, None));
        }
    }

    fn follow(&mut self, process: &WorkerProcess) {
        let pid = process.pid;
        systemd::keep_all(process.descriptors());
        match process.ended() {
            Ok(ended) => {
                self.ended.spawn(async move { (pid, ended.await) });
            }
            Err(error) => error!(pid, %error, "the worker's end will not be seen"),
        }
    }

    pub(super) fn dismiss_strangers(&mut self, now: Instant) {
        let deadline = self.exit_deadline(now);
        for (process, until) in &mut self.strangers {
            if until.is_none() {
                tell_to_drain(process);
                *until = Some(deadline);
            }
        }
    }

    pub(super) fn bequeath(&self, Heir(heir): Heir) {
        match self.descriptors() {
            Ok(descriptors) => heir(descriptors),
            // The heir is dropped, and whoever sent it sees that.
            Err(error) => error!(%error, "the workers cannot be handed over"),
        }
    }

    fn descriptors(&self) -> io::Result<Vec<(Role, OwnedFd)>> {
        self.processes()
            .flat_map(WorkerProcess::descriptors)
            .chain(self.launch.sockets())
            .map(|(role, fd)| Ok((role, fd.try_clone_to_owned()?)))
            .collect()
    }
}
