//! Getting a lease: at once, or in line.

use std::time::{Duration, Instant};

use tpp::lending::Lease;
use tracing::debug;

use crate::{
    clock::millis,
    door::connection::Connection,
    gateway::exchange::Failure,
    gateway::held::Held,
    message::reply::Reply,
    wire::attend::{Interrupt, attend},
};

impl Connection {
    /// Sees to it that the connection holds a lease.
    pub(crate) async fn acquire(&mut self) -> Result<(), Failure> {
        if self.held.is_some() {
            return Ok(());
        }
        let (lease, waited) = match self.worker.desk.try_lease() {
            Some(lease) => (lease, Duration::ZERO),
            None => {
                let begun = Instant::now();
                (self.stand_in_line().await?, begun.elapsed())
            }
        };
        self.worker.counters().acquisition_wait.observe(waited);
        debug!(
            worker = self.worker.seat(),
            slot = lease.slot().get(),
            wait_ms = millis(waited),
            "lease acquired"
        );
        self.held = Some(Held::new(lease, &self.worker, &self.timer));
        Ok(())
    }

    /// Waits for a slot, unless too many do already. A client that leaves leaves the line at once.
    async fn stand_in_line(&mut self) -> Result<Lease, Failure> {
        let worker = &*self.worker;
        let (desk, counters) = (&worker.desk, worker.counters());
        let settings = &self.view.settings;
        if settings
            .lease
            .max_waiting
            .is_some_and(|most| desk.waiting() >= most as u64)
        {
            counters.queue_rejections.add(1);
            return Err(Failure::Reply(Reply::no_token(
                "too many wait for one already",
            )));
        }
        let limit = settings.lease.wait_timeout;
        attend(worker, &self.timer, &mut self.client, limit, desk.join())
            .await
            .map_err(|interrupt| match interrupt {
                Interrupt::Gone => {
                    counters.clients_left.add(1);
                    Failure::Silent
                }
                Interrupt::Late => {
                    counters.queue_timeouts.add(1);
                    Failure::Reply(Reply::no_token("none came free in time"))
                }
                Interrupt::Cut => Failure::from(interrupt),
            })
    }
}
