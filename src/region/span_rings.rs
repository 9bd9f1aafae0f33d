//! The rings of spans, one a seat. They are there once a supervisor exports them.

use super::{
    Region, RegionError,
    directory::Span,
    kind::Kind,
    sections::{bytes_of, must_be, optional_span},
};
use crate::{
    ids::{PoolId, SeatIndex},
    spans::SpanRing,
};

impl Region {
    /// Makes the rings, where there are none yet; only the supervisor may.
    ///
    /// # Errors
    /// If the region has no room for them, or what lies there is damaged.
    pub fn add_span_rings(&self) -> Result<(), RegionError> {
        let (directory, none) = (self.directory(), PoolId::DEFAULT);
        let seats = self.parts.seats.count();
        if directory.find(Kind::SpanRings, none).is_none() {
            let added = directory.add(Kind::SpanRings, none, seats, 0);
            let bytes = bytes_of([(Kind::SpanRings, seats)]);
            added.ok_or(RegionError::Full { bytes })?;
        }
        self.find_span_rings().map(drop)
    }

    fn find_span_rings(&self) -> Result<Option<Span<SpanRing>>, RegionError> {
        let entry = self.directory().find(Kind::SpanRings, PoolId::DEFAULT);
        let entry = entry.filter(|entry| entry.lies_within(self.bytes));
        let Some(rings) = optional_span(entry)? else {
            return Ok(None);
        };
        must_be("rings of spans", rings.count(), self.parts.seats.count())?;
        Ok(Some(rings))
    }

    /// The ring of `seat`; `None`: there are none, or none that this version can use.
    #[must_use]
    pub fn span_ring(&self, seat: SeatIndex) -> Option<&SpanRing> {
        let rings = match self.span_rings.get() {
            Some(rings) => *rings,
            None => {
                let rings = self.find_span_rings().ok()??;
                *self.span_rings.get_or_init(|| rings)
            }
        };
        self.mapping.section(rings).get(seat.get())
    }
}
