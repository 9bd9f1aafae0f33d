//! What is counted of an attempt at its backend, over all workers: that it is under way, and how long the head of its answer took.

use std::time::Instant;

use tpp::lending::Sent;

use crate::{gateway::flight::Flight, view::member::Member};

/// An attempt under way, from the choice of its backend to the end of the answer.
#[derive(Debug)]
pub(crate) struct Counted {
    sent: Sent,
    /// Since when the backend has it.
    since: Option<Instant>,
}

impl Counted {
    /// Counts an attempt in; `None`: nothing is counted of a plain configuration's backend.
    pub(super) fn begin(flight: &Flight<'_>, member: &Member) -> Option<Self> {
        flight.site.is_counted.then(|| Self::send(flight, member))
    }

    #[inline(never)]
    fn send(flight: &Flight<'_>, member: &Member) -> Self {
        let desk = &flight.client.worker.desk;
        Self {
            sent: desk.send(member.backend.plan.row, member.pair),
            since: None,
        }
    }

    /// There is a connection: the request goes out.
    #[inline(never)]
    pub(super) fn goes_out(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The head of the answer is there.
    #[inline(never)]
    pub(super) fn is_answered(&mut self) {
        if let Some(since) = self.since.take()
            && let Some(pair) = self.sent.pair()
        {
            pair.duration.observe(since.elapsed());
        }
    }
}
