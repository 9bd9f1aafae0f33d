//! What others may see of the fleet.

use std::time::Instant;

use tpp::pool::{Epoch, SeatIndex};

use super::post::{Post, Worker};

/// The fleet at one moment.
#[derive(Debug, Default)]
pub(crate) struct FleetReport {
    pub(crate) workers: Vec<WorkerReport>,
    /// Workers wanted.
    pub(crate) wanted: usize,
    /// A line for each post whose next worker is put off, and why.
    pub(crate) put_off: Vec<String>,
}

/// One worker process.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
    pub(crate) pid: u32,
    pub(crate) leaving: bool,
    /// Of its post.
    pub(crate) restarts: u64,
    /// Of its post.
    pub(crate) last_exit: Option<String>,
}

impl FleetReport {
    pub(super) fn update(&mut self, posts: &[Post], leaving: &[(Worker, Instant)], now: Instant) {
        let working = posts
            .iter()
            .flat_map(|post| post.workers().map(|worker| row(worker, Some(post))));
        let leaving = leaving.iter().map(|(worker, _)| row(worker, None));
        self.workers = working.chain(leaving).collect();
        self.wanted = posts.len();
        self.put_off = posts.iter().filter_map(|post| put_off(post, now)).collect();
    }
}

/// Why a post stands empty for now.
fn put_off(post: &Post, now: Instant) -> Option<String> {
    let delay = post.delay(now)?;
    let how = post.last_exit.as_deref().unwrap_or("not started");
    Some(format!(
        "a worker keeps dying at once ({how}): the next one starts in {:.1}s",
        delay.as_secs_f64()
    ))
}

fn row(worker: &Worker, post: Option<&Post>) -> WorkerReport {
    WorkerReport {
        seat: worker.seat,
        epoch: worker.epoch,
        pid: worker.process.pid,
        leaving: post.is_none(),
        restarts: post.map_or(0, |post| post.restarts),
        last_exit: post.and_then(|post| post.last_exit.clone()),
    }
}
