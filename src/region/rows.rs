//! The tables of a region beside its pools: rows of hosts, backends, what a host uses, groups, and the rates of clients. A region that an
//! older version made gets them when a supervisor that knows them takes over.

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::Range,
};

use crate::{
    ids::{PoolId, SeatIndex},
    limits::{BackendRow, GroupRow, HostRow, PairRow, RateTable, Row, SET},
    shared::{BackendSeat, HostSeat, PairSeat, SeatRow},
    sync::AtomicU64,
};

use super::{
    Region, RegionError,
    directory::{Directory, Span},
    kind::Kind,
    mapping::Shared,
    sections::{bytes_of, must_be, optional_span},
    written::WrittenRows,
};

/// How large the tables of a region are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGeometry {
    /// Hosts.
    pub hosts: usize,
    /// Backends.
    pub backends: usize,
    /// Backends of all hosts' tags, each counted once a host.
    pub pairs: usize,
    /// Tags.
    pub groups: usize,
    /// Sets of the table of rates, [`SET`] keys in each.
    pub rate_sets: usize,
}

impl RowGeometry {
    /// What a supervisor makes. What is not used takes no memory.
    pub const FULL: Self = Self {
        hosts: 2048,
        backends: 2048,
        pairs: 4096,
        groups: 4096,
        rate_sets: 1 << 16,
    };

    fn sections(&self, seats: usize) -> [(Kind, usize); 8] {
        [
            (Kind::Hosts, self.hosts),
            (Kind::HostSeats, self.hosts * seats),
            (Kind::Backends, self.backends),
            (Kind::BackendSeats, self.backends * seats),
            (Kind::Pairs, self.pairs),
            (Kind::PairSeats, self.pairs * seats),
            (Kind::Groups, self.groups),
            (Kind::Rates, (self.rate_sets + 1) * SET),
        ]
    }
}

/// A table's place: its rows, and each seat's part of them, seat after seat.
#[derive(Debug)]
struct TableParts<R, S> {
    rows: Span<R>,
    seats: Span<S>,
}

impl<R, S> TableParts<R, S> {
    fn find(
        directory: Directory<'_>,
        rows: Kind,
        seats: Kind,
        count: usize,
    ) -> Result<Option<Self>, RegionError> {
        let none = PoolId::DEFAULT;
        let found = [rows, seats].map(|kind| directory.find(kind, none));
        let (Some(rows), Some(seats)) = (optional_span(found[0])?, optional_span(found[1])?) else {
            return Ok(None);
        };
        must_be("parts of rows", seats.count(), rows.count() * count)?;
        Ok(Some(Self { rows, seats }))
    }
}

/// Where the tables lie: read from the directory once they are there.
#[derive(Debug)]
pub(super) struct RowParts {
    hosts: TableParts<HostRow, HostSeat>,
    backends: TableParts<BackendRow, BackendSeat>,
    pairs: TableParts<PairRow, PairSeat>,
    groups: Span<GroupRow>,
    rates: Span<AtomicU64>,
}

impl RowParts {
    fn find(directory: Directory<'_>, seats: usize) -> Result<Option<Self>, RegionError> {
        let hosts = TableParts::find(directory, Kind::Hosts, Kind::HostSeats, seats)?;
        let backends = TableParts::find(directory, Kind::Backends, Kind::BackendSeats, seats)?;
        let pairs = TableParts::find(directory, Kind::Pairs, Kind::PairSeats, seats)?;
        let groups = optional_span(directory.find(Kind::Groups, PoolId::DEFAULT))?;
        let rates = optional_span(directory.find(Kind::Rates, PoolId::DEFAULT))?;
        let all = (hosts, backends, pairs, groups, rates);
        let (Some(hosts), Some(backends), Some(pairs), Some(groups), Some(rates)) = all else {
            return Ok(None);
        };
        Ok(Some(Self {
            hosts,
            backends,
            pairs,
            groups,
            rates,
        }))
    }
}

/// A table of rows, and each seat's part of them.
#[derive(Debug)]
pub struct SeatTable<'a, R, S> {
    /// The rows.
    pub rows: &'a [R],
    parts: &'a [S],
}

// Derived, they would ask the same of the rows.
impl<R, S> Clone for SeatTable<'_, R, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, S> Copy for SeatTable<'_, R, S> {}

impl<'a, R: Row, S: SeatRow> SeatTable<'a, R, S> {
    /// The part of `seat`, row by row.
    #[must_use]
    pub fn of(&self, seat: SeatIndex) -> &'a [S] {
        let each = self.rows.len();
        let range: Range<usize> = seat.get() * each..(seat.get() + 1) * each;
        self.parts.get(range).unwrap_or_default()
    }

    /// What is under way in `row`, in those of `seats`. Exact when nothing begins or ends.
    pub fn in_flight(&self, row: usize, seats: impl Iterator<Item = SeatIndex>) -> u64 {
        seats
            .filter_map(|seat| self.of(seat).get(row))
            .map(|part| part.in_flight().get())
            .sum()
    }
}

impl Region {
    /// Makes the tables, where there are none yet; only the supervisor may. Those that are there keep their sizes.
    ///
    /// # Errors
    /// If the region has no room for them, or what lies there is damaged.
    pub fn add_rows(&self, geometry: RowGeometry) -> Result<(), RegionError> {
        let (directory, none) = (self.directory(), PoolId::DEFAULT);
        let missing = geometry.sections(self.parts.seats.count());
        let missing = missing
            .into_iter()
            .filter(|(kind, _)| directory.find(*kind, none).is_none());
        for (kind, count) in missing {
            let bytes = bytes_of([(kind, count)]);
            let added = directory.add(kind, none, count, 0);
            added.ok_or(RegionError::Full { bytes })?;
        }
        let parts = RowParts::find(directory, self.parts.seats.count())?;
        if let Some(table) = parts.as_ref().and_then(|parts| self.rates_of(parts))
            && !table.has_secret()
        {
            // Where a key lies is nothing that a client can know.
            let dice = RandomState::new();
            table.set_secret([1_u8, 2].map(|nth| dice.hash_one(nth) | 1));
        }
        Ok(())
    }

    /// `None`: there are no tables, or none that this version can use.
    fn row_parts(&self) -> Option<&RowParts> {
        if let Some(parts) = self.rows.get() {
            return Some(parts);
        }
        let (directory, none) = (self.directory(), PoolId::DEFAULT);
        let parts = RowParts::find(directory, self.parts.seats.count()).ok()??;
        let mut sections = directory.entries().filter(|entry| entry.pool == none);
        sections
            .all(|entry| entry.lies_within(self.bytes))
            .then(|| self.rows.get_or_init(|| parts))
    }

    fn table<R: Shared, S: Shared>(&self, parts: &TableParts<R, S>) -> SeatTable<'_, R, S> {
        SeatTable {
            rows: self.mapping.section(parts.rows),
            parts: self.mapping.section(parts.seats),
        }
    }

    /// How many rows of each table there may be something in; none where there are no tables. Costs system calls.
    #[must_use]
    pub fn written_rows(&self) -> WrittenRows {
        self.row_parts()
            .map_or_else(WrittenRows::default, |parts| WrittenRows {
                hosts: self.written(parts.hosts.rows),
                backends: self.written(parts.backends.rows),
                pairs: self.written(parts.pairs.rows),
                groups: self.written(parts.groups),
            })
    }

    /// The hosts' rows; `None`: the region has no tables.
    #[must_use]
    pub fn hosts(&self) -> Option<SeatTable<'_, HostRow, HostSeat>> {
        self.row_parts().map(|parts| self.table(&parts.hosts))
    }

    /// The backends' rows.
    #[must_use]
    pub fn backends(&self) -> Option<SeatTable<'_, BackendRow, BackendSeat>> {
        self.row_parts().map(|parts| self.table(&parts.backends))
    }

    /// The rows of what each host uses.
    #[must_use]
    pub fn pairs(&self) -> Option<SeatTable<'_, PairRow, PairSeat>> {
        self.row_parts().map(|parts| self.table(&parts.pairs))
    }

    /// The groups' rows.
    #[must_use]
    pub fn groups(&self) -> Option<&[GroupRow]> {
        self.row_parts()
            .map(|parts| self.mapping.section(parts.groups))
    }

    /// The rates of clients.
    #[must_use]
    pub fn rates(&self) -> Option<RateTable<'_>> {
        self.rates_of(self.row_parts()?)
    }

    fn rates_of(&self, parts: &RowParts) -> Option<RateTable<'_>> {
        RateTable::new(self.mapping.section(parts.rates))
    }
}
