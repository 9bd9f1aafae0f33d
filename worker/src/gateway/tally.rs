//! What is counted of a request at its virtual host: how it was answered, how long it took, why it failed.
//!
//! It is counted when this is dropped, wherever that happens: a request whose client leaves counts as well.

use std::{sync::Arc, time::Instant};

use tpp::{
    lending::{Entered, Queued},
    shared::{Failing, Rejection},
};

use crate::{view::site::Site, worker::Worker};

/// Status that stands for an answer that nobody waited for, as nginx has it.
const CLIENT_GONE: u16 = 499;

/// A request under way, as its host counts it.
pub(crate) struct Tally {
    entered: Entered,
    begun: Instant,
    status: u16,
}

impl Tally {
    /// Counts a request in; `None`: its host is not counted by itself, for there is but the one of a plain configuration.
    pub(crate) fn begin(worker: &Worker, site: &Arc<Site>) -> Option<Self> {
        site.is_counted.then(|| Self::enter(worker, site))
    }

    #[inline(never)]
    fn enter(worker: &Worker, site: &Site) -> Self {
        Self {
            entered: worker.desk.enter(site.plan.row),
            begun: Instant::now(),
            status: CLIENT_GONE,
        }
    }

    /// An answer of this status is on its way to the client.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// A limit refused it.
    pub(crate) fn refused(&self, cause: Rejection) {
        if let Some(part) = self.entered.part() {
            part.count_rejection(cause);
        }
    }

    /// It waits in a line for as long as what is returned lives.
    pub(crate) fn wait(&self) -> Queued {
        self.entered.queue()
    }

    /// It fails, for this reason.
    pub(crate) fn failed(&self, cause: Failing) {
        if let Some(part) = self.entered.part() {
            part.count_failure(cause);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(part) = self.entered.part() {
            part.count_status(self.status);
            part.duration.observe(self.begun.elapsed());
            if self.status == CLIENT_GONE {
                part.count_failure(Failing::ClientGone);
            }
        }
    }
}
