//! The end of a worker: it takes nothing new and finishes what is open, as long as there is time.
//!
//! | | replaced | stopped |
//! |---|---|---|
//! | idle connections | get one more answer; closed when the time is over | closed once idle for a second |
//! | requests in hand | cut when the time is over | the same |
//! | who stands in line | stays as long as its own limit lets it, and is then given the time to drain | cut when the time is over |
//!
//! A worker that was left alone too long is stopped, but its idle connections get their one more answer.
//! A replacement becomes a stop when the supervisor says so meanwhile.

use std::time::Duration;

use tokio::{
    select,
    sync::oneshot,
    time::{Instant, interval, sleep},
};
use tracing::{info, warn};

use crate::{
    clock::{TICK, millis},
    worker::Worker,
};

/// How long connections that are cut may take to say so.
const CUT_LIMIT: Duration = Duration::from_secs(1);
/// On a stop, a connection that asks nothing for so long is closed.
const STOP_IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Why a worker begins to drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Told to end; others go on.
    Replaced,
    /// All of tpp stops.
    Stopped,
    /// There has been no supervisor for too long: nobody follows.
    Orphaned,
    /// The seat is another worker's: what this one holds may be lent to others any moment.
    Deposed,
}

/// Finishes what is open, as long as there is time; the worker accepts no more. SIGTERM says nothing new any more: a
/// supervisor that takes this worker over cannot know whether its forerunner has sent one.
pub(crate) async fn drain(worker: &Worker, cause: Cause, was_deposed: oneshot::Receiver<()>) {
    let seat = worker.seat();
    info!(
        worker = seat,
        ?cause,
        connections = worker.connections(),
        limit_ms = millis(worker.view().settings.drain_timeout),
        "worker drains"
    );
    worker.desk.set_draining();
    worker.drain();
    let is_in_time = select! {
        () = worker.empty() => true,
        () = deposed(cause, was_deposed) => false,
        () = time_is_over(worker, cause) => false,
    };
    if !is_in_time {
        warn!(
            worker = seat,
            connections = worker.connections(),
            "closing what is left"
        );
        worker.cut();
        select! {
            () = worker.empty() => {}
            () = sleep(CUT_LIMIT) => {}
        }
    }
    info!(worker = seat, "worker ends");
}

/// Resolves when the worker is deposed, at once if it was.
async fn deposed(cause: Cause, was_deposed: oneshot::Receiver<()>) {
    if cause != Cause::Deposed && was_deposed.await.is_err() {
        // Nobody will say so any more.
        std::future::pending::<()>().await;
    }
}

/// Closes what may be closed, as time goes by. Resolves when the rest is to be closed as well: never on a replacement, whose
/// last ones each have their own time.
async fn time_is_over(worker: &Worker, cause: Cause) {
    let limit = worker.view().settings.drain_timeout;
    let begun = Instant::now();
    let mut stop_begun = None;
    let mut was_told = false;
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        if cause != Cause::Replaced || worker.is_stopping() {
            let stop_begun = *stop_begun.get_or_insert_with(Instant::now);
            // An orphan's clients have nobody else to go to: each gets its answer as long as there is time.
            if cause != Cause::Orphaned || worker.is_stopping() {
                worker.close_idle(STOP_IDLE_LIMIT);
            }
            if stop_begun.elapsed() >= limit {
                return;
            }
        } else if begun.elapsed() >= limit {
            let cut = worker.cut_all_but_the_line();
            if cut > 0 && !was_told {
                was_told = true;
                warn!(
                    worker = worker.seat(),
                    connections = cut,
                    waiting = worker.connections() - cut,
                    "time to drain is over, closing all but those in line"
                );
            }
        }
    }
}

impl Worker {
    /// Closes connections that have asked nothing for `least`. A request that is there already is still served.
    fn close_idle(&self, least: Duration) {
        let now = self.clock.now();
        self.timers.for_each(|timer| {
            if timer.standing.is_idle_for(millis(least), now) {
                timer.end_wait();
            }
        });
    }

    /// Closes all connections but those that stand in line or have just been served from it. Returns how many.
    pub(crate) fn cut_all_but_the_line(&self) -> usize {
        let now = self.clock.now();
        let mut cut = 0;
        self.timers.for_each(|timer| {
            if !timer.is_cut() && !timer.standing.is_spared(now) {
                timer.cut();
                cut += 1;
            }
        });
        cut
    }
}
