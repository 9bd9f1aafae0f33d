//! The worker processes: as many as wanted, replaced when they die or hang, drained when they shall go.

mod post;
mod report;

use std::{
    collections::VecDeque,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tpp::pool::{SeatIndex, SeatState, Stock};
use tracing::{error, info, warn};

use crate::process::{self, Launch};

use post::{Post, Worker};
pub(crate) use report::{FleetReport, WorkerReport};

/// How often the heartbeats are looked at.
const TICK: Duration = Duration::from_millis(100);
/// A worker whose heartbeat stands still this long is passed by: the line goes on without it.
const PASS_BY_AFTER: Duration = Duration::from_secs(1);
/// What a worker may take, beyond its time to drain, to end by itself.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// What the fleet can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Replace all workers one by one; answered when the last one is in place.
    Restart(oneshot::Sender<Result<String, String>>),
    /// Want other workers: more are started, fewer drained.
    Want(Wanted),
    /// Drain all workers and end. The second time: kill them.
    Stop,
}

/// The wanted set of workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) workers: usize,
    pub(crate) drain_timeout: Duration,
    pub(crate) worker_timeout: Duration,
}

/// Keeps the wanted workers running.
pub(crate) struct Fleet {
    stock: Arc<Stock>,
    launch: Launch,
    wanted: Wanted,
    posts: Vec<Post>,
    /// Restarts of posts that were given up.
    past_restarts: u64,
    /// Workers that drain, with the time by which they must have ended.
    leaving: Vec<(Worker, Instant)>,
    ended: JoinSet<(SeatIndex, ExitStatus)>,
    /// Posts whose workers are still to be replaced.
    to_replace: VecDeque<usize>,
    replaced: Option<oneshot::Sender<Result<String, String>>>,
    stopping: bool,
    last_tick: Instant,
    report: Arc<Mutex<FleetReport>>,
}

impl Fleet {
    pub(crate) fn new(stock: Arc<Stock>, launch: Launch, wanted: Wanted) -> Self {
        Self {
            stock,
            launch,
            wanted,
            posts: (0..wanted.workers).map(|_| Post::default()).collect(),
            past_restarts: 0,
            leaving: Vec::new(),
            ended: JoinSet::new(),
            to_replace: VecDeque::new(),
            replaced: None,
            stopping: false,
            last_tick: Instant::now(),
            report: Arc::default(),
        }
    }

    /// What others may see of it; kept up to date.
    pub(crate) fn report(&self) -> Arc<Mutex<FleetReport>> {
        Arc::clone(&self.report)
    }

    /// Runs until told to stop and all workers have ended.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Deaths first: what the dead held is what others wait for.
                biased;
                Some(ended) = self.ended.join_next() => match ended {
                    Ok((seat, status)) => self.worker_ended(seat, status),
                    Err(source) => error!(error = %source, "lost sight of a worker"),
                },
                order = orders.recv() => self.obey(order.unwrap_or(Order::Stop)),
                _ = tick.tick() => self.look(Instant::now()),
            }
            self.publish_report();
            if self.stopping && self.ended.is_empty() {
                return;
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Restart(replaced) if self.stopping || self.replaced.is_some() => {
                let why = if self.stopping {
                    "tpp is stopping"
                } else {
                    "a restart is under way"
                };
                // Whoever asked may have gone.
                let _ = replaced.send(Err(why.to_owned()));
            }
            Order::Restart(replaced) => {
                info!(workers = self.posts.len(), "replacing all workers");
                self.to_replace = (0..self.posts.len()).collect();
                self.replaced = Some(replaced);
            }
            Order::Want(_) if self.stopping => {}
            Order::Want(wanted) => self.want(wanted, Instant::now()),
            Order::Stop if self.stopping => {
                warn!("stopping at once");
                self.all_workers()
                    .for_each(|worker| worker.process.signal(Signal::SIGKILL));
            }
            Order::Stop => self.begin_stop(Instant::now()),
        }
    }

    fn want(&mut self, wanted: Wanted, now: Instant) {
        self.wanted = wanted;
        let surplus = self.posts.split_off(wanted.workers.min(self.posts.len()));
        self.dismiss(surplus, now);
        self.posts.resize_with(wanted.workers, Post::default);
        self.to_replace.retain(|at| *at < wanted.workers);
        if self.to_replace.is_empty() && self.replaced.is_some() {
            self.end_replacement(Ok(format!("{} workers replaced", self.posts.len())));
        }
        self.fill_posts(now);
    }

    fn begin_stop(&mut self, now: Instant) {
        self.stopping = true;
        // The last of the supervisor's listening sockets: once the workers have closed theirs, clients are refused.
        self.launch.listeners.clear();
        self.to_replace.clear();
        info!(workers = self.all_workers().count(), "draining all workers");
        let posts = std::mem::take(&mut self.posts);
        self.dismiss(posts, now);
    }

    /// Gives up posts, and drains their workers.
    fn dismiss(&mut self, posts: Vec<Post>, now: Instant) {
        self.past_restarts += posts.iter().map(|post| post.restarts).sum::<u64>();
        let workers: Vec<_> = posts.into_iter().flat_map(Post::into_workers).collect();
        workers
            .into_iter()
            .for_each(|worker| self.order_out(worker, now));
    }

    fn all_workers(&self) -> impl Iterator<Item = &Worker> {
        self.posts
            .iter()
            .flat_map(Post::workers)
            .chain(self.leaving.iter().map(|(worker, _)| worker))
    }

    /// Once a tick: start what is due, follow a replacement, judge the heartbeats, mend the hints.
    fn look(&mut self, now: Instant) {
        // After a stop of ours all heartbeats look old, though it was we who did not look: let them beat first.
        let were_stopped = now.duration_since(self.last_tick) > PASS_BY_AFTER / 2;
        self.last_tick = now;
        self.note_ready();
        if !were_stopped {
            self.judge_heartbeats(now);
        }
        if !self.stopping {
            self.fill_posts(now);
            self.replace_next(now);
        }
        self.stock.sweep();
    }

    fn note_ready(&mut self) {
        for worker in self.posts.iter_mut().flat_map(Post::workers_mut) {
            let state = self.stock.pool().seats[worker.seat.get()].word().state;
            if !worker.ready && state == SeatState::Ready {
                worker.ready = true;
                info!(worker = %worker.seat, pid = worker.process.pid, epoch = %worker.epoch, "worker ready");
            }
        }
    }

    fn judge_heartbeats(&mut self, now: Instant) {
        for worker in self.all_workers() {
            let age = Duration::from_millis(self.stock.heartbeat_age(worker.seat));
            let seat = self.stock.pool().seats[worker.seat.get()].word();
            if age > self.wanted.worker_timeout {
                let age_ms = age.as_millis();
                error!(worker = %worker.seat, pid = worker.process.pid, age_ms, "worker hangs: killing it");
                worker.process.signal(Signal::SIGKILL);
            } else if age > PASS_BY_AFTER && !seat.stalled {
                warn!(worker = %worker.seat, pid = worker.process.pid, age_ms = age.as_millis(),
                    "worker does not respond: the line passes it by");
                self.stock.pass_by(worker.seat);
            }
        }
        for (worker, deadline) in &self.leaving {
            if now > *deadline {
                warn!(worker = %worker.seat, pid = worker.process.pid, "worker did not end in time: killing it");
                worker.process.signal(Signal::SIGKILL);
            }
        }
    }

    fn fill_posts(&mut self, now: Instant) {
        for at in 0..self.posts.len() {
            if self.posts[at].is_due(now) {
                match self.start_worker() {
                    Ok(worker) => self.posts[at].current = Some(worker),
                    Err(reason) => {
                        error!(reason, "worker not started");
                        self.posts[at].note_end(now, None, reason);
                    }
                }
            }
        }
    }

    /// A successor first; once it is ready its forerunner drains, and the next post's turn comes.
    fn replace_next(&mut self, now: Instant) {
        let Some(&at) = self.to_replace.front() else {
            return;
        };
        if self.posts[at].successor.is_none() {
            match self.start_worker() {
                Ok(worker) => self.posts[at].successor = Some(worker),
                Err(reason) => self.end_replacement(Err(format!("worker not started: {reason}"))),
            }
        } else if let Some(forerunner) = self.posts[at].promote_ready_successor() {
            if let Some(forerunner) = forerunner {
                self.order_out(forerunner, now);
            }
            self.to_replace.pop_front();
            if self.to_replace.is_empty() {
                self.end_replacement(Ok(format!("{} workers replaced", self.posts.len())));
            }
        }
    }

    fn end_replacement(&mut self, result: Result<String, String>) {
        self.to_replace.clear();
        match &result {
            Ok(done) => info!("{done}"),
            Err(reason) => error!(reason, "workers not replaced"),
        }
        if let Some(replaced) = self.replaced.take() {
            // Whoever asked may have gone.
            let _ = replaced.send(result);
        }
    }

    fn start_worker(&mut self) -> Result<Worker, String> {
        let (seat, epoch) = self.stock.fill_seat().ok_or("all seats are taken")?;
        match process::start(&self.launch, &self.stock, (seat, epoch)) {
            Ok((process, ended)) => {
                self.stock.set_pid(seat, process.pid);
                info!(worker = %seat, pid = process.pid, %epoch, "worker started");
                self.ended.spawn(async move { (seat, ended.await) });
                Ok(Worker {
                    seat,
                    epoch,
                    process,
                    started: Instant::now(),
                    ready: false,
                })
            }
            Err(source) => {
                self.stock.reclaim(seat);
                Err(format!("start a process: {source}"))
            }
        }
    }

    fn order_out(&mut self, worker: Worker, now: Instant) {
        worker.process.signal(Signal::SIGTERM);
        // A stopped process acts on no signal but SIGKILL until it is continued.
        worker.process.signal(Signal::SIGCONT);
        self.leaving
            .push((worker, now + self.wanted.drain_timeout + EXIT_GRACE));
    }

    fn worker_ended(&mut self, seat: SeatIndex, status: ExitStatus) {
        let reclaimed = self.stock.reclaim(seat);
        let how = process::describe(status);
        if let Some(at) = self
            .leaving
            .iter()
            .position(|(worker, _)| worker.seat == seat)
        {
            let (worker, _) = self.leaving.remove(at);
            info!(worker = %seat, pid = worker.process.pid, how, leases = reclaimed.leases, "worker gone");
            return;
        }
        let Some(at) = self.posts.iter().position(|post| post.has(seat)) else {
            return;
        };
        let now = Instant::now();
        let Some((worker, was_successor)) = self.posts[at].remove(seat) else {
            return;
        };
        warn!(worker = %seat, pid = worker.process.pid, how, leases = reclaimed.leases,
            waiting = reclaimed.waiting, "worker died: its leases are back");
        if was_successor {
            self.end_replacement(Err(format!(
                "the new worker died before it was ready: {how}"
            )));
        }
        self.posts[at].note_end(now, Some(&worker), how);
        if let Some(delay) = self.posts[at].delay(now) {
            warn!(
                post = at,
                delay_ms = delay.as_millis(),
                "workers keep dying at once: the next one starts later"
            );
        }
        if !self.stopping {
            self.fill_posts(now);
        }
    }

    fn publish_report(&self) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.update(&self.posts, &self.leaving, Instant::now());
        report.restarts += self.past_restarts;
    }
}
