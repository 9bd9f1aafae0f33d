//! The worker processes: as many as wanted, replaced when they die or hang, drained when they shall go.

mod adopt;
mod instance;
mod order;
mod replace;
mod report;
mod start;
mod watch;

use std::{
    collections::VecDeque,
    os::fd::{AsFd, RawFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{sync::mpsc, task::JoinSet};
use tpp::{
    front::SealedFront,
    handover::{Role, meeting::meeting_place},
    lending::Stock,
    plan::Sealed,
};
use tracing::{error, info, warn};

use crate::{
    process::{Launch, WorkerProcess},
    system::{pidfd::Ending, sockets::ForWorkers, systemd, ticks::Ticks},
};

use instance::{Instance, Worker};
use order::Answer;
pub(crate) use order::{FleetHandle, NextSupervisor, Order, Wanted};
pub(crate) use report::{FleetReport, WorkerReport};
use start::Started;

/// How often the heartbeats are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Slots that are looked at in a tick, so that many limits cost no more than one: a fraction of a millisecond.
const SWEPT_AT_ONCE: usize = 16 * 1024;
/// What a worker may take, beyond its time to drain, to end by itself.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// Keeps the wanted workers running.
pub(crate) struct Fleet {
    stock: Arc<Stock>,
    launch: Launch,
    /// What workers act on.
    plan: Arc<Sealed>,
    /// How they let clients in besides plainly.
    front: Option<Arc<SealedFront>>,
    wanted: Wanted,
    instances: Vec<Instance>,
    /// Workers that drain, with the time by which they must have ended.
    leaving: Vec<(Worker, Instant)>,
    /// Workers of a predecessor that sit in no seat of this pool; with that time once they drain.
    former: Vec<(WorkerProcess, Option<Instant>)>,
    ended: JoinSet<(RawFd, u32, Ending)>,
    /// Workers that are being started, each on a thread of its own.
    starting: JoinSet<Started>,
    /// Who is to be called once no worker is being started.
    next: Option<NextSupervisor>,
    /// Instances whose workers are still to be replaced.
    to_replace: VecDeque<usize>,
    askers: Vec<Answer>,
    /// When the drain begins, once told to stop.
    stop_at: Option<Instant>,
    stopping: bool,
    left: bool,
    last_tick: Instant,
    report: Arc<Mutex<FleetReport>>,
}

impl Fleet {
    pub(crate) fn new(
        stock: Arc<Stock>,
        launch: Launch,
        (plan, front): (Arc<Sealed>, Option<Arc<SealedFront>>),
        wanted: Wanted,
    ) -> Self {
        Self {
            stock,
            launch,
            plan,
            front,
            wanted,
            instances: (0..wanted.workers).map(|_| Instance::default()).collect(),
            leaving: Vec::new(),
            former: Vec::new(),
            ended: JoinSet::new(),
            starting: JoinSet::new(),
            next: None,
            to_replace: VecDeque::new(),
            askers: Vec::new(),
            stop_at: None,
            stopping: false,
            left: false,
            last_tick: Instant::now(),
            report: Arc::default(),
        }
    }

    /// What others may see of it; kept up to date.
    pub(crate) fn report(&self) -> Arc<Mutex<FleetReport>> {
        Arc::clone(&self.report)
    }

    /// Runs until told to stop and all workers have ended, or told to leave them.
    pub(crate) async fn run(
        mut self,
        ticks: Ticks,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) -> bool {
        self.put_plan_in_force();
        self.keep_front();
        loop {
            tokio::select! {
                // Deaths first: what the dead held is what others wait for.
                biased;
                Some(ended) = self.ended.join_next() => match ended {
                    Ok((key, pid, ending)) => self.process_ended(key, pid, ending),
                    Err(source) => error!(error = %source, "lost sight of a worker"),
                },
                Some(started) = self.starting.join_next() => match started {
                    Ok(started) => self.worker_started(started),
                    Err(source) => error!(error = %source, "lost sight of a worker's start"),
                },
                order = orders.recv() => self.obey(order.unwrap_or(Order::Stop)),
                () = ticks.next() => self.look(Instant::now()),
            }
            self.hand_over_if_due();
            self.publish_report();
            let all_ended = self.ended.is_empty() && self.starting.is_empty();
            if self.left || (self.stopping && all_ended) {
                return self.left;
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Restart(answer) | Order::Want(_, _, answer) | Order::Renew { answer, .. }
                if self.is_told_to_stop() =>
            {
                // Whoever asked may have gone.
                let _ = answer.send(Err("tpp is stopping".to_owned()));
            }
            Order::Restart(answer) => {
                info!(workers = self.instances.len(), "replacing all workers");
                self.enqueue_all();
                self.askers.push(answer);
            }
            Order::Want(wanted, listeners, answer) => {
                self.want(wanted, listeners, Instant::now());
                self.askers.push(answer);
                self.answer_if_settled();
            }
            Order::Renew { all, answer } => {
                if all {
                    self.enqueue_all();
                } else {
                    self.enqueue_outdated();
                }
                self.askers.push(answer);
            }
            Order::TellSockets(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.launch.try_clone_sockets());
            }
            Order::Front(front) => {
                self.front = Some(front);
                self.bring_plan();
                self.keep_front();
            }
            Order::Plan(plan) => {
                self.plan = plan;
                self.put_plan_in_force();
            }
            Order::Stop if self.is_told_to_stop() => {
                warn!("stopping at once");
                self.begin_stop(Instant::now());
                self.processes()
                    .for_each(|process| process.signal(Signal::KILL));
            }
            Order::Stop => {
                let delay = self.wanted.stop_delay;
                if !delay.is_zero() {
                    info!(
                        delay_ms = delay.as_millis(),
                        "told to stop: new connections are taken for a while yet"
                    );
                }
                self.stop_at = Some(Instant::now() + delay);
                self.next = None;
                self.stop_if_due(Instant::now());
            }
            // Workers that drain already go on to their end, supervisor or not.
            Order::Leave => self.left = true,
            // A successor would not know that tpp is to stop. Whoever sent it sees it dropped.
            Order::HandOver(_) if self.is_told_to_stop() => {}
            Order::HandOver(next) => self.next = Some(next),
        }
    }

    fn want(&mut self, wanted: Wanted, sockets: Vec<ForWorkers>, now: Instant) {
        self.wanted = wanted;
        self.launch.change_sockets(sockets);
        let surplus = self
            .instances
            .split_off(wanted.workers.min(self.instances.len()));
        self.dismiss(surplus, now);
        self.instances
            .resize_with(wanted.workers, Instance::default);
        self.to_replace.retain(|at| *at < wanted.workers);
        self.enqueue_outdated();
        self.fill_instances(now);
    }

    /// Sends the plan to whoever has it not, and says that it is in force. In this order: who looks for a plan that is in
    /// force finds it in its channel.
    fn put_plan_in_force(&mut self) {
        self.bring_plan();
        self.stock.put_plan_in_force(self.plan.generation());
        systemd::forget(&Role::Plan.to_string());
        systemd::keep_all([(Role::Plan, self.plan.as_fd())]);
    }

    fn bring_plan(&mut self) {
        let leaving = self.leaving.iter_mut().map(|(worker, _)| worker);
        let workers = self.instances.iter_mut().flat_map(Instance::workers_mut);
        for worker in workers.chain(leaving) {
            worker.process.bring(self.front.as_deref(), &self.plan);
        }
    }

    /// Has systemd keep the front door for a successor: clients resume their sessions there.
    fn keep_front(&self) {
        if let Some(front) = &self.front {
            systemd::forget(&Role::Front.to_string());
            systemd::keep_all([(Role::Front, front.as_fd())]);
        }
    }

    /// Whether tpp is to stop; the drain may be still to begin.
    fn is_told_to_stop(&self) -> bool {
        self.stop_at.is_some()
    }

    fn stop_if_due(&mut self, now: Instant) {
        if self.stop_at.is_some_and(|at| now >= at) {
            self.begin_stop(now);
        }
    }

    fn begin_stop(&mut self, now: Instant) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        systemd::stopping();
        // The last of the supervisor's listening sockets: once the workers have closed theirs, clients are refused.
        self.launch.listeners.clear();
        systemd::forget(&Role::Listener.to_string());
        self.give_up_replacing("tpp is stopping");
        info!(workers = self.processes().count(), "draining all workers");
        // Those that drain already had time for those who wait in them: not any more.
        let deadline = self.exit_deadline(now);
        for (_, until) in &mut self.leaving {
            *until = deadline.min(*until);
        }
        self.processes().for_each(WorkerProcess::say_stop);
        let instances = std::mem::take(&mut self.instances);
        self.dismiss(instances, now);
        self.dismiss_former(now);
    }

    /// Gives up instances, and drains their workers.
    fn dismiss(&mut self, instances: Vec<Instance>, now: Instant) {
        let workers: Vec<_> = instances
            .into_iter()
            .flat_map(Instance::into_workers)
            .collect();
        workers
            .into_iter()
            .for_each(|worker| self.order_out(worker, now));
    }

    fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.instances
            .iter()
            .flat_map(Instance::workers)
            .chain(self.leaving.iter().map(|(worker, _)| worker))
    }

    fn processes(&self) -> impl Iterator<Item = &WorkerProcess> {
        let former = self.former.iter().map(|(process, _)| process);
        self.workers().map(|worker| &worker.process).chain(former)
    }

    /// Once a tick: start what is due, follow a replacement, judge the heartbeats, mend the hints.
    fn look(&mut self, now: Instant) {
        // After a stop of ours all heartbeats look old, though it was we who did not look: let them beat first.
        let were_stopped = now.duration_since(self.last_tick) > watch::PASS_BY_AFTER / 2;
        self.last_tick = now;
        self.stop_if_due(now);
        self.note_states(now);
        if !were_stopped {
            self.judge_heartbeats(now);
        }
        self.leave_time_to_wait(now);
        self.kill_overdue(now);
        self.bring_plan();
        if !self.stopping {
            self.fill_instances(now);
            self.replace_next(now);
            self.answer_if_settled();
        }
        self.stock.sweep_some(SWEPT_AT_ONCE);
    }

    fn order_out(&mut self, worker: Worker, now: Instant) {
        tell_to_drain(&worker.process);
        let deadline = self.exit_deadline(now);
        self.leaving.push((worker, deadline));
    }

    fn exit_deadline(&self, now: Instant) -> Instant {
        now + self.wanted.drain_timeout + EXIT_GRACE
    }

    fn process_ended(&mut self, key: RawFd, pid: u32, ending: Ending) {
        let is_it = |process: &WorkerProcess| process.key() == key;
        if let Some(at) = self.former.iter().position(|(one, _)| is_it(one)) {
            self.former.remove(at);
            info!(pid, how = %ending, "worker of the former pool gone");
        } else if let Some(at) = self.leaving.iter().position(|(one, _)| is_it(&one.process)) {
            let (worker, _) = self.leaving.remove(at);
            let reclaimed = self.stock.reclaim(worker.seat);
            info!(worker = %worker.seat, pid, how = %ending, leases = reclaimed.leases, "worker gone");
        } else if let Some(at) = self.instances.iter().position(|instance| instance.has(key)) {
            self.worker_died(at, key, ending);
        }
        // Last: systemd may be slow to hear, and the line waits for what the dead held.
        systemd::forget(&Role::Process(pid).to_string());
        systemd::forget(&Role::Channel(pid).to_string());
        // A worker that was killed leaves it behind.
        let _ = std::fs::remove_file(meeting_place(&self.launch.meeting_prefix, pid));
    }

    /// An end that nobody ordered.
    fn worker_died(&mut self, at: usize, key: RawFd, ending: Ending) {
        let Some(worker) = self.instances[at].remove(key) else {
            return;
        };
        let pid = worker.process.pid;
        let how = ending.to_string();
        let reclaimed = self.stock.reclaim(worker.seat);
        self.stock.region().supervisors().worker_restarts.add(1);
        warn!(worker = %worker.seat, pid, how, leases = reclaimed.leases,
            waiting = reclaimed.waiting, "worker died: its leases are back");
        if !worker.ready {
            self.give_up_replacing(&format!("the new worker died before it was ready: {how}"));
        }
        let now = Instant::now();
        self.instances[at].note_end(now, Some(&worker), how);
        if let Some(delay) = self.instances[at].delay(now) {
            warn!(
                instance = at,
                delay_ms = delay.as_millis(),
                "workers keep dying at once: the next one starts later"
            );
        }
        if !self.stopping {
            self.fill_instances(now);
        }
    }

    fn publish_report(&self) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.update(&self.instances, &self.leaving, Instant::now());
        report.stopping = self.is_told_to_stop();
    }
}

fn tell_to_drain(process: &WorkerProcess) {
    process.signal(Signal::TERM);
    // A stopped process acts on no signal but SIGKILL until it is continued.
    process.signal(Signal::CONT);
}
