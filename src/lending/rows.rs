//! The supervisor's half of what is limited by name: which rows a plan goes by, what is counted in them, what the dead had under way.

use crate::{
    hash::{HASH_BEGIN, hash_on},
    ids::{PoolId, SeatIndex},
    limits::{BackendRow, Breaker, Probes, Row, Table, TableFull},
    pool::SeatLine,
    region::{RegionError, RowGeometry, SeatTable},
    shared::{HostTotals, LatencyCounts, SeatRow},
};

use super::stock::Stock;

/// Whose rows a plan goes by: keys ([`row_key`]), each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowKeys {
    /// Virtual hosts.
    pub hosts: Vec<u64>,
    /// Backends.
    pub backends: Vec<u64>,
    /// Backends of each host's tags, those first that need a row most: there may be more than there is room for.
    pub pairs: Vec<u64>,
    /// Tags of each host that deals its requests out in turn.
    pub groups: Vec<u64>,
}

/// The rows of [`RowKeys`], in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowsGiven {
    /// Virtual hosts.
    pub hosts: Vec<usize>,
    /// Backends.
    pub backends: Vec<usize>,
    /// Backends of each host's tags; `None`: there are more than there is room for.
    pub pairs: Vec<Option<usize>>,
    /// Tags.
    pub groups: Vec<usize>,
}

/// Why rows cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// There is no place for the tables.
    #[error("make the tables of limits")]
    Region(#[from] RegionError),
    /// A table is full.
    #[error("{what}: {source}")]
    Full {
        /// Which.
        what: &'static str,
        /// How much there is.
        source: TableFull,
    },
}

/// The key of what `names` name together, such as a host and a backend; never 0.
#[must_use]
pub fn row_key(names: &[&str]) -> u64 {
    let hash = names.iter().fold(HASH_BEGIN, |hash, name| {
        // A zero byte between: `a`, `bc` is not `ab`, `c`.
        hash_on(hash_on(hash, name.as_bytes()), &[0])
    });
    hash.max(1)
}

impl Stock {
    /// Gives the names of plan `generation` their rows, before it is published. What it does without is free for others once every
    /// worker goes by that plan, or a later one, and has nothing under way there.
    ///
    /// # Errors
    /// If there are too many; the plan must not be published then.
    pub fn give_rows(&self, generation: u64, keys: &RowKeys) -> Result<RowsGiven, RowsError> {
        self.region.add_rows(RowGeometry::FULL)?;
        let tables = self.region.hosts().zip(self.region.backends());
        let tables = tables.zip(self.region.pairs().zip(self.region.groups()));
        let Some(((hosts, backends), (pairs, groups))) = tables else {
            return Err(RegionError::Full { bytes: 0 }.into());
        };
        let written = self.region.written_rows();
        let full = |what| move |source| RowsError::Full { what, source };
        let has_reached = |gone| self.is_plan_shown(gone);
        let given = RowsGiven {
            hosts: self
                .assign_rows((hosts, written.hosts), &keys.hosts, generation)
                .map_err(full("virtual hosts"))?,
            backends: self
                .assign_rows((backends, written.backends), &keys.backends, generation)
                .map_err(full("backends"))?,
            pairs: Table::new(pairs.rows, written.pairs).assign_some(
                &keys.pairs,
                generation,
                self.is_quiet(pairs),
                self.clear(pairs),
            ),
            groups: Table::new(groups, written.groups)
                .assign(
                    &keys.groups,
                    generation,
                    |_, gone| has_reached(gone),
                    |_| {},
                )
                .map_err(full("tags"))?,
        };
        Ok(given)
    }

    fn assign_rows<R: Row, S: SeatRow>(
        &self,
        (table, written): (SeatTable<'_, R, S>, usize),
        keys: &[u64],
        generation: u64,
    ) -> Result<Vec<usize>, TableFull> {
        let (is_quiet, clear) = (self.is_quiet(table), self.clear(table));
        Table::new(table.rows, written).assign(keys, generation, is_quiet, clear)
    }

    /// Whether nobody uses a row any more that is gone since a plan.
    fn is_quiet<'t, R: Row, S: SeatRow>(
        &'t self,
        table: SeatTable<'t, R, S>,
    ) -> impl Fn(usize, u64) -> bool + 't {
        move |row, gone| {
            let mut seats = self.seats_ever_filled();
            self.is_plan_shown(gone)
                && seats.all(|seat| table.of(seat).get(row).is_none_or(SeatRow::is_quiet))
        }
    }

    /// Makes the seats' parts of a row as good as new.
    fn clear<'t, R: Row, S: SeatRow>(&'t self, table: SeatTable<'t, R, S>) -> impl Fn(usize) + 't {
        move |row| {
            let parts = self
                .seats_ever_filled()
                .filter_map(|seat| table.of(seat).get(row));
            parts.for_each(SeatRow::clear);
        }
    }

    /// Whether every worker, ready or not, goes by the plan of `generation` or a later one.
    pub(super) fn is_plan_shown(&self, generation: u64) -> bool {
        let mut seats = self.region.seats().iter();
        seats.all(|seat| !seat.word().is_filled() || seat.plan() >= generation)
    }

    /// Seats of which there may be numbers: the memory of others is never touched.
    pub(super) fn seats_ever_filled(&self) -> impl Iterator<Item = SeatIndex> + '_ {
        let seats = self.region.seats().iter().enumerate();
        seats
            .filter(|(_, seat)| seat.word().epoch.get() != 0)
            .map(|(index, _)| SeatIndex::new(index))
    }

    /// Who stands in the line of a pool, over all workers; none, if there is no such pool.
    #[must_use]
    pub fn waiting_for(&self, pool: PoolId) -> u64 {
        let stock = self.open(pool);
        let count = |stock: Self| stock.pool().lines.iter().map(SeatLine::waiting).sum();
        stock.map_or(0, count)
    }

    /// Slots of a pool that are lent, and those who stand in its line.
    #[must_use]
    pub fn taken_or_wanted(&self, pool: PoolId) -> u64 {
        let stock = self.open(pool);
        let census = stock.map(|stock| stock.pool().census());
        census.map_or(0, |census| census.in_use + census.waiting)
    }

    /// Requests at the host in `row`: those under way, and those in a line.
    #[must_use]
    pub fn host_under_way(&self, row: usize) -> (u64, u64) {
        let Some(hosts) = self.region.hosts() else {
            return (0, 0);
        };
        let parts = self
            .seats_ever_filled()
            .filter_map(|seat| hosts.of(seat).get(row));
        parts.fold((0, 0), |(in_flight, waiting), part| {
            let (more, wait) = part.under_way();
            (in_flight + more, waiting + wait)
        })
    }

    /// What was counted of the host in `row`.
    #[must_use]
    pub fn host_totals(&self, row: usize) -> HostTotals {
        let mut totals = HostTotals::default();
        if let Some(hosts) = self.region.hosts() {
            let parts = self
                .seats_ever_filled()
                .filter_map(|seat| hosts.of(seat).get(row));
            parts.for_each(|part| part.add_to(&mut totals));
        }
        totals
    }

    /// How long the backend of the pair in `row` took.
    #[must_use]
    pub fn pair_durations(&self, row: usize) -> LatencyCounts {
        let mut counts = LatencyCounts::default();
        if let Some(pairs) = self.region.pairs() {
            let parts = self
                .seats_ever_filled()
                .filter_map(|seat| pairs.of(seat).get(row));
            parts.for_each(|part| part.add_to(&mut counts));
        }
        counts
    }

    /// The row of a backend.
    #[must_use]
    pub fn backend_row(&self, row: usize) -> Option<&BackendRow> {
        self.region.backends()?.rows.get(row)
    }

    /// Requests under way to the backend in `row`.
    #[must_use]
    pub fn backend_in_flight(&self, row: usize) -> u64 {
        let backends = self.region.backends();
        backends.map_or(0, |table| table.in_flight(row, self.seats_ever_filled()))
    }

    /// Gives back what the worker of `seat`, which has ended, had under way in rows: what is counted, and the probes of breakers.
    pub(super) fn settle_rows(&self, seat: SeatIndex) {
        let (Some(hosts), Some(backends), Some(pairs)) = (
            self.region.hosts(),
            self.region.backends(),
            self.region.pairs(),
        ) else {
            return;
        };
        let written = self.region.written_rows();
        for (row, _) in Table::new(hosts.rows, written.hosts).taken() {
            let (host, part) = (&hosts.rows[row], &hosts.of(seat)[row]);
            Probes::new(&part.probes).give_back(Breaker::new(&host.breaker));
            part.settle();
        }
        for (row, _) in Table::new(pairs.rows, written.pairs).taken() {
            let (pair, part) = (&pairs.rows[row], &pairs.of(seat)[row]);
            Probes::new(&part.probes).give_back(Breaker::new(&pair.breaker));
            part.settle();
        }
        for (row, _) in Table::new(backends.rows, written.backends).taken() {
            backends.of(seat)[row].settle();
        }
    }
}
