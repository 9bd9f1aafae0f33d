//! What others may see of the fleet.

use std::time::{Duration, Instant};

use tpp::pool::{Epoch, SeatIndex};

use super::{
    post::{Post, Worker},
};

/// The fleet at one moment.
#[derive(Debug, Default)]
pub(crate) struct FleetReport {
    pub(crate) workers: Vec<WorkerReport>,
    /// Workers wanted.
    pub(crate) wanted: usize,
    /// Unplanned ends, over all posts.
    pub(crate) restarts: u64,
    /// Posts whose next worker is put off, and for how long at most.
    pub(crate) in_backoff: Option<(usize, Duration)>,
}

/// One worker process.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
    pub(crate) pid: u32,
    pub(crate) started: Instant,
    pub(crate) leaving: bool,
    /// Of its post.
    pub(crate) restarts: u64,
    /// Of its post.
    pub(crate) last_exit: Option<String>,
}

impl FleetReport {
    pub(super) fn update(&mut self, posts: &[Post], leaving: &[(Worker, Instant)], now: Instant) {
        let working = posts.iter().flat_map(|post| post.workers().map(|worker| row(worker, Some(post))));
        let leaving = leaving.iter().map(|(worker, _)| row(worker, None));
        self.workers = working.chain(leaving).collect();
        self.wanted = posts.len();
        self.restarts = posts.iter().map(|post| post.restarts).sum();
        let delays: Vec<_> = posts.iter().filter_map(|post| post.delay(now)).collect();
        self.in_backoff = delays.iter().max().map(|longest| (delays.len(), *longest));
    }
}

fn row(worker: &Worker, post: Option<&Post>) -> WorkerReport {
    WorkerReport {
        seat: worker.seat,
        epoch: worker.epoch,
        pid: worker.process.pid,
        started: worker.started,
        leaving: post.is_none(),
        restarts: post.map_or(0, |post| post.restarts),
        last_exit: post.and_then(|post| post.last_exit.clone()),
    }
}
