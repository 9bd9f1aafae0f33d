//! The worker's life: ready, draining, gone; and the little it does beside serving.

pub(crate) mod drain;
pub(crate) mod link;
mod ticks;

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use anyhow::Context as _;
use nix::sys::signal::Signal;
use tokio::{io::unix::AsyncFd, select, sync::oneshot, time::sleep};
use tpp::signals::Signals;
use tracing::{info, warn};

use crate::{
    Inherited,
    door::accept::accept,
    life::{
        drain::{Cause, drain},
        link::{MeetingPlace, Papers, SpareSockets},
        ticks::Ticks,
    },
    log::Log,
    worker::Worker,
};

/// How long the last lines of the access log may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Ticks between two looks at the idle upstream connections.
const TICKS_PER_TENDING: u32 = 10;

/// Serves until it is told to end, or was left alone for too long.
pub(crate) async fn live(inherited: Inherited, papers: Papers, log: Log) -> anyhow::Result<()> {
    let Inherited {
        // Held until this worker ends.
        lock: _lock,
        desk,
        listeners,
        channel,
        meeting_prefix,
    } = inherited;
    let seat = desk.seat().get();
    let worker = Worker::new(desk, papers.plan);
    if let Some(gates) = papers.gates {
        worker.take_gates(gates);
    }
    let terminate = termination()?;
    let bell = worker
        .desk
        .bell()
        .try_clone_to_owned()
        .context("duplicate the bell")?;
    tokio::spawn(answer_bell(Arc::clone(&worker), watch(bell)?));
    tokio::spawn(follow_plans(Arc::clone(&worker), log.clone()));
    let (deposed, mut was_deposed) = oneshot::channel();
    let ticks = Ticks::begin().context("make the tick")?;
    tokio::spawn(keep_time(Arc::clone(&worker), log.clone(), ticks, deposed));
    let spare_sockets = SpareSockets::of(&listeners).context("duplicate the listening sockets")?;
    let place = MeetingPlace::open(&meeting_prefix)
        .inspect_err(|error| {
            warn!(
                worker = seat,
                error = format!("{error:#}"),
                "no place for a new supervisor to meet this worker"
            );
        })
        .ok();
    let (orphaned, was_orphaned) = oneshot::channel();
    let link = tokio::spawn(link::keep(
        Arc::clone(&worker),
        channel,
        place,
        spare_sockets.clone(),
        orphaned,
    ));
    let mut accepting = accept(&worker, listeners)?;
    worker.desk.set_ready();
    info!(worker = seat, pid = std::process::id(), "worker ready");

    let cause = select! {
        () = worker.stop_told() => Cause::Stopped,
        () = told(&terminate, seat) => Cause::Replaced,
        Ok(()) = was_orphaned => Cause::Orphaned,
        Ok(()) = &mut was_deposed => Cause::Deposed,
        failure = accepting.failure() => anyhow::bail!("accept connections: {failure}"),
    };
    spare_sockets.discard();
    accepting.stop();
    drain(&worker, cause, was_deposed).await;
    // With it goes the place where a supervisor could have met this worker.
    link.abort();
    let _ = link.await;
    worker.access_log.flush(LAST_LINES);
    Ok(())
}

/// SIGTERM, to be waited for. The supervisor's signals, which may reach a worker too, are held back and never looked at.
#[expect(
    deprecated,
    reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
)]
fn termination() -> anyhow::Result<AsyncFd<Signals>> {
    let signals = Signals::of(&[Signal::SIGTERM]).context("listen for SIGTERM")?;
    AsyncFd::with_interest(signals, tokio::io::Interest::READABLE).context("wait for SIGTERM")
}

/// Resolves when SIGTERM has come. Who sent it stands in the log.
async fn told(signals: &AsyncFd<Signals>, seat: usize) {
    while let Ok(mut ready) = signals.readable().await {
        match ready.get_inner().next() {
            Some(received) => {
                info!(worker = seat, from = %received, "told to drain");
                return;
            }
            None => ready.clear_ready(),
        }
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
)]
fn watch(bell: OwnedFd) -> anyhow::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(bell, tokio::io::Interest::READABLE).context("watch the bell")
}

/// Does what a new plan asks for beside serving by it.
async fn follow_plans(worker: Arc<Worker>, log: Log) {
    loop {
        let view = worker.view();
        log.set_filter(&view.settings.log_filter);
        worker.plan_after(view.generation()).await;
    }
}

/// Answers the bell: somebody waits no longer, or a token is new.
async fn answer_bell(worker: Arc<Worker>, bell: AsyncFd<OwnedFd>) {
    while let Ok(mut ready) = bell.readable().await {
        // Before it is silenced: a ring in between is seen as a new one.
        ready.clear_ready();
        worker.desk.answer_bell();
        worker.look_at_leases();
    }
}

/// The tick: heartbeat, clock, deadlines. `deposed` is told if the seat is another's.
async fn keep_time(worker: Arc<Worker>, log: Log, ticks: Ticks, deposed: oneshot::Sender<()>) {
    let mut deposed = Some(deposed);
    let (mut counted, mut unwritten) = (0, 0);
    let mut count = 0_u32;
    let mut next_to_go = None;
    loop {
        select! {
            () = ticks.next() => {
                if !worker.desk.is_seated() {
                    // The other one beats now. Told once; the receiver may be gone, in a worker that drains.
                    let _ = deposed.take().map(|deposed| deposed.send(()));
                    return;
                }
                worker.desk.heartbeat();
                worker.neighbours.look(&worker.desk);
                let lost = &worker.counters().log_lines_dropped;
                let dropped = log.dropped();
                lost.add(dropped - std::mem::replace(&mut counted, dropped));
                let lost = &worker.counters().access_log_dropped;
                let dropped = worker.access_log.tick();
                lost.add(dropped - std::mem::replace(&mut unwritten, dropped));
                worker.timers.tick(&worker.clock);
                worker.look_at_deadlines();
                worker.look_at_leases();
                if count.is_multiple_of(TICKS_PER_TENDING) {
                    worker.view().tend(worker.clock.now());
                }
                count = count.wrapping_add(1);
            }
            // Between two ticks only while somebody waits and an idle connection is about to give way.
            () = wait(next_to_go) => {}
        }
        next_to_go = worker.relieve_crowd();
    }
}

/// Sleeps so long; for ever if there is nothing to sleep for.
async fn wait(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}
