//! Workers that another supervisor started: taken over, and left in turn to the next one.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use tpp::{
    handover::{self, Role},
    pool::SeatIndex,
    roster::SeatState,
};
use tracing::{error, info};

use super::{Fleet, NextSupervisor, Worker, tell_to_drain};
use crate::{
    process::{Adopted, WorkerProcess},
    system::systemd,
};

impl Fleet {
    /// Takes over a predecessor's workers. Those that serve stay at work; those that drain, and those that are too
    /// many, end.
    pub(crate) fn adopt(&mut self, mut workers: Vec<Adopted>) {
        let now = Instant::now();
        let stock = Arc::clone(&self.stock);
        let state_of = |seat: SeatIndex| stock.pool().seats[seat.get()].word().state;
        // Those that serve first: one that only starts must not send them away.
        workers.sort_by_key(|(seat, ..)| state_of(*seat) != SeatState::Ready);
        for (seat, epoch, mut process) in workers {
            let state = state_of(seat);
            info!(worker = %seat, pid = process.pid, %epoch, ?state, "worker taken over");
            self.follow_adopted(&process);
            // Without a channel it believes itself alone, and would drain when its patience ends.
            let is_alone = !process.has_channel();
            if state == SeatState::Starting {
                // Its supervisor may have died before it said so. Said twice it means nothing more.
                process.let_begin(self.front.as_deref(), &self.plan);
            }
            let worker = Worker {
                seat,
                epoch,
                process,
                in_charge_since: now,
                ready: state == SeatState::Ready,
            };
            let serves = matches!(state, SeatState::Starting | SeatState::Ready);
            let mut instances = self.instances.iter_mut();
            match instances.position(|instance| serves && instance.current.is_none()) {
                Some(at) => {
                    self.instances[at].current = Some(worker);
                    if is_alone {
                        self.enqueue(at);
                    }
                }
                None => self.order_out(worker, now),
            }
        }
    }

    /// Takes over workers that sit in no seat of this pool: they go on until ours are ready.
    pub(crate) fn adopt_former(&mut self, former: Vec<WorkerProcess>) {
        for process in former {
            let pid = process.pid;
            info!(
                pid,
                "worker of the former pool: it drains when others are ready"
            );
            self.follow_adopted(&process);
            self.former.push((process, None));
        }
    }

    /// Watches for the end of a process, and has systemd keep what a successor of ours needs of it.
    pub(super) fn follow(&mut self, process: &WorkerProcess) -> io::Result<()> {
        let (key, pid, ended) = (process.key(), process.pid, process.ended()?);
        systemd::keep_all(process.descriptors());
        self.ended.spawn(async move { (key, pid, ended.await) });
        Ok(())
    }

    fn follow_adopted(&mut self, process: &WorkerProcess) {
        if let Err(error) = self.follow(process) {
            error!(pid = process.pid, %error, "the worker's end will not be seen");
        }
    }

    pub(super) fn dismiss_former(&mut self, now: Instant) {
        let deadline = self.exit_deadline(now);
        for (process, until) in &mut self.former {
            if until.is_none() {
                tell_to_drain(process);
                *until = Some(deadline);
            }
        }
    }

    pub(super) fn hand_over(&self, NextSupervisor(next): NextSupervisor) {
        match self.descriptors() {
            Ok(descriptors) => next(descriptors),
            // It is dropped, and whoever sent it sees that.
            Err(error) => error!(%error, "the workers cannot be handed over"),
        }
    }

    fn descriptors(&self) -> io::Result<Vec<(Role, OwnedFd)>> {
        let workers = self.processes().flat_map(WorkerProcess::descriptors);
        let plan = (Role::Plan, self.plan.as_fd());
        let front = self.front.iter().map(|front| (Role::Front, front.as_fd()));
        let sockets = self.launch.sockets();
        handover::duplicate(workers.chain(sockets).chain([plan]).chain(front))
    }
}
