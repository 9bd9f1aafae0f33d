//! A worker's half of what is limited by name: it counts itself in, asks a breaker for leave. Both end by being dropped, wherever that
//! happens; and if the worker dies, by its reclaim.

use std::{fmt, sync::Arc};

use crate::{
    clock::monotonic_millis,
    ids::SeatIndex,
    limits::{
        BackendRow, Breaker, BreakerPolicy, BreakerRules, BreakerState, FailureWindow, GroupRow,
        HostRow, Pass, Probes, RateTable, Tripped,
    },
    shared::{BackendSeat, HostSeat, PairSeat},
    sync::AtomicU64,
};

use super::desk::Desk;

/// No row: of what is not counted by itself, for there was no room.
pub const NO_ROW: usize = usize::MAX;

/// Which breaker, by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerAt {
    /// A host's: of all that is asked of it.
    Host(usize),
    /// A pair's: of what a host asks of one backend.
    Pair(usize),
}

/// A request under way, counted at its host. Dropping it counts it out.
pub struct Entered {
    pub(super) desk: Arc<Desk>,
    pub(super) row: usize,
}

/// A request under way, counted at its backend. Dropping it counts it out.
pub struct Sent {
    desk: Arc<Desk>,
    backend: usize,
    pair: usize,
}

/// Leave of a breaker to ask. What came of it is to be told; dropped untold, it says nothing of the server.
pub struct Asked {
    desk: Arc<Desk>,
    at: BreakerAt,
    pass: Option<Pass>,
}

impl Desk {
    /// This worker's part of the host's row; `None`: there is no such row.
    #[must_use]
    pub fn host_seat(&self, row: usize) -> Option<&HostSeat> {
        self.region.hosts()?.of(self.seat).get(row)
    }

    /// This worker's part of the backend's row.
    #[must_use]
    pub fn backend_seat(&self, row: usize) -> Option<&BackendSeat> {
        self.region.backends()?.of(self.seat).get(row)
    }

    /// This worker's part of the pair's row.
    #[must_use]
    pub fn pair_seat(&self, row: usize) -> Option<&PairSeat> {
        self.region.pairs()?.of(self.seat).get(row)
    }

    fn host_row(&self, row: usize) -> Option<&HostRow> {
        self.region.hosts()?.rows.get(row)
    }

    /// The backend's row.
    #[must_use]
    pub fn backend_row(&self, row: usize) -> Option<&BackendRow> {
        self.region.backends()?.rows.get(row)
    }

    /// The row of a group.
    #[must_use]
    pub fn group(&self, row: usize) -> Option<&GroupRow> {
        self.region.groups()?.get(row)
    }

    /// The rates of clients.
    #[must_use]
    pub fn rates(&self) -> Option<RateTable<'_>> {
        self.region.rates()
    }

    /// Requests under way to the backend in `row`, over all workers: for a choice, so it may be one behind.
    #[must_use]
    pub fn backend_in_flight(&self, row: usize) -> u64 {
        let backends = self.region.backends();
        backends.map_or(0, |table| table.in_flight(row, self.filled_seats()))
    }

    /// Requests under way at the host of `row`, over the workers in `seats`, as exactly.
    #[must_use]
    pub fn host_in_flight(&self, row: usize, seats: impl Iterator<Item = SeatIndex>) -> u64 {
        let hosts = self.region.hosts();
        hosts.map_or(0, |table| table.in_flight(row, seats))
    }

    /// Seats that have a worker now.
    pub fn filled_seats(&self) -> impl Iterator<Item = SeatIndex> {
        let seats = self.region.seats().iter().zip(0..);
        seats
            .filter(|(seat, _)| seat.word().is_filled())
            .map(|(_, index)| SeatIndex::new(index))
    }

    /// Counts a request in at the host of `row`.
    #[must_use]
    pub fn enter(self: &Arc<Self>, row: usize) -> Entered {
        if let Some(part) = self.host_seat(row) {
            part.in_flight.rise();
        }
        Entered {
            desk: Arc::clone(self),
            row,
        }
    }

    /// Counts a request in at a backend, and at the pair that it and the host make.
    #[must_use]
    pub fn send(self: &Arc<Self>, backend: usize, pair: usize) -> Sent {
        if let Some(part) = self.backend_seat(backend) {
            part.in_flight.rise();
            part.requests.add(1);
        }
        if let Some(part) = self.pair_seat(pair) {
            part.in_flight.rise();
        }
        Sent {
            desk: Arc::clone(self),
            backend,
            pair,
        }
    }

    /// A breaker's word, and this worker's probes of it.
    fn breaker(&self, at: BreakerAt) -> Option<(Breaker<'_>, Probes<'_>)> {
        let (word, probes): (&AtomicU64, &AtomicU64) = match at {
            BreakerAt::Host(row) => (&self.host_row(row)?.breaker, &self.host_seat(row)?.probes),
            BreakerAt::Pair(row) => (
                &self.region.pairs()?.rows.get(row)?.breaker,
                &self.pair_seat(row)?.probes,
            ),
        };
        Some((Breaker::new(word), Probes::new(probes)))
    }

    /// Whether a breaker would give leave at `now`, milliseconds of the monotonic clock. One that does not exist would.
    #[must_use]
    pub fn lets_through(&self, at: BreakerAt, rules: BreakerRules, now: u64) -> bool {
        self.breaker(at)
            .is_none_or(|(breaker, _)| breaker.look(rules, now).after.is_zero())
    }

    /// What a breaker says now; one that does not exist is closed.
    #[must_use]
    pub fn breaker_state(&self, at: BreakerAt) -> BreakerState {
        self.breaker(at)
            .map_or(BreakerState::Closed, |(breaker, _)| breaker.state())
    }

    /// Tells how the backend in `row` did; so many failures in a row, told to the supervisor, may put it out for a while
    /// (`consecutive`). What it does while it is out says nothing.
    pub fn note_conduct(&self, row: usize, has_failed: bool, consecutive: u64) {
        let Some(row) = self.backend_row(row) else {
            return;
        };
        let conduct = &row.conduct;
        if !has_failed {
            conduct.succeeded();
        } else if !conduct.is_out(monotonic_millis)
            && conduct.failed().is_multiple_of(consecutive.max(1))
        {
            self.bells.ring_supervisor();
        }
    }

    /// Asks a breaker for leave at `now`, milliseconds of the monotonic clock. One that does not exist gives it.
    ///
    /// # Errors
    /// See [`Breaker::pass`].
    pub fn ask(
        self: &Arc<Self>,
        at: BreakerAt,
        rules: BreakerRules,
        now: u64,
    ) -> Result<Asked, Tripped> {
        let pass = match self.breaker(at) {
            Some((breaker, probes)) => {
                let pass = breaker.pass(rules, now)?;
                probes.note(pass);
                Some(pass)
            }
            None => None,
        };
        Ok(Asked {
            desk: Arc::clone(self),
            at,
            pass,
        })
    }
}

impl Asked {
    /// Whose leave it is.
    #[must_use]
    pub fn at(&self) -> BreakerAt {
        self.at
    }

    /// Whether it is one of the few that an open breaker sends out, to see.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.pass.is_some_and(Pass::is_probe)
    }

    /// The server did as it should, or it failed, at `now`. True if that opened the breaker.
    pub fn tell(mut self, has_failed: bool, policy: BreakerPolicy, now: u64) -> bool {
        let pass = self.hand_in();
        let Some(((breaker, _), pass)) = self.desk.breaker(self.at).zip(pass) else {
            return false;
        };
        let mut has_opened = false;
        if has_failed {
            has_opened = breaker.failed(policy.rules, pass, now);
        } else {
            breaker.succeeded(policy.rules, pass, now);
        }
        let window = policy.shares.zip(self.window());
        if let Some((rules, buckets)) = window {
            let window = FailureWindow::new(buckets, rules.time);
            window.count(has_failed, now);
            let is_bad = has_failed && window.shares(now).is_bad(rules.percent, rules.least);
            has_opened |= is_bad && breaker.trip(pass, now);
        }
        has_opened
    }

    /// The buckets that a host's row has.
    fn window(&self) -> Option<&[AtomicU64]> {
        match self.at {
            BreakerAt::Host(row) => self.desk.host_row(row).map(|row| &row.window[..]),
            BreakerAt::Pair(_) => None,
        }
    }

    /// What is to be told next counts for nobody else, and is not told again.
    fn hand_in(&mut self) -> Option<Pass> {
        let pass = self.pass.take()?;
        // A seat that has been given away has given our probes back already.
        if pass.is_probe() && !self.desk.is_seated() {
            return None;
        }
        if let Some((_, probes)) = self.desk.breaker(self.at) {
            probes.strike(pass);
        }
        Some(pass)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let pass = self.hand_in();
        if let Some(((breaker, _), pass)) = self.desk.breaker(self.at).zip(pass) {
            breaker.ignored(pass);
        }
    }
}

impl Entered {
    /// This worker's part of the host's row.
    #[must_use]
    pub fn part(&self) -> Option<&HostSeat> {
        self.desk.host_seat(self.row)
    }
}

impl Sent {
    /// This worker's part of the backend's row.
    #[must_use]
    pub fn backend(&self) -> Option<&BackendSeat> {
        self.desk.backend_seat(self.backend)
    }

    /// This worker's part of the pair's row.
    #[must_use]
    pub fn pair(&self) -> Option<&PairSeat> {
        self.desk.pair_seat(self.pair)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A seat that has been given away was settled with it.
        if self.desk.is_seated()
            && let Some(part) = self.part()
        {
            part.in_flight.fall();
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.desk.is_seated() {
            return;
        }
        let gauges = [
            self.backend().map(|part| &part.in_flight),
            self.pair().map(|part| &part.in_flight),
        ];
        gauges.into_iter().flatten().for_each(|gauge| gauge.fall());
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("backend", &self.backend)
            .field("pair", &self.pair)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
