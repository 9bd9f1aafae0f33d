//! What others may see of the fleet.

use std::time::Instant;

use tpp::pool::{Epoch, SeatIndex};

use super::instance::{Instance, Worker};

/// The fleet at one moment.
#[derive(Debug, Default)]
pub(crate) struct FleetReport {
    pub(crate) workers: Vec<WorkerReport>,
    /// Workers wanted.
    pub(crate) wanted: usize,
    /// A line for each instance whose next worker is put off, and why.
    pub(crate) put_off: Vec<String>,
    /// tpp was told to stop.
    pub(crate) stopping: bool,
}

/// One worker process.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
    pub(crate) pid: u32,
    pub(crate) leaving: bool,
    /// Of its instance.
    pub(crate) restarts: u64,
    /// Of its instance.
    pub(crate) last_exit: Option<String>,
}

impl FleetReport {
    pub(super) fn update(
        &mut self,
        instances: &[Instance],
        leaving: &[(Worker, Instant)],
        now: Instant,
    ) {
        let working = instances
            .iter()
            .flat_map(|instance| instance.workers().map(|worker| row(worker, Some(instance))));
        let leaving = leaving.iter().map(|(worker, _)| row(worker, None));
        self.workers = working.chain(leaving).collect();
        self.wanted = instances.len();
        self.put_off = instances
            .iter()
            .filter_map(|instance| put_off(instance, now))
            .collect();
    }
}

/// Why an instance stands empty for now.
fn put_off(instance: &Instance, now: Instant) -> Option<String> {
    let delay = instance.delay(now)?;
    let how = instance.last_exit.as_deref().unwrap_or("not started");
    Some(format!(
        "a worker keeps dying at once ({how}): the next one starts in {:.1}s",
        delay.as_secs_f64()
    ))
}

fn row(worker: &Worker, instance: Option<&Instance>) -> WorkerReport {
    WorkerReport {
        seat: worker.seat,
        epoch: worker.epoch,
        pid: worker.process.pid,
        leaving: instance.is_none(),
        restarts: instance.map_or(0, |instance| instance.restarts),
        last_exit: instance.and_then(|instance| instance.last_exit.clone()),
    }
}
