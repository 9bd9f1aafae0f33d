//! Spans of requests: a worker's half writes them, the supervisor's takes them.

use crate::{
    region::RegionError,
    spans::{Record, SpanRing},
};

use super::{desk::Desk, stock::Stock};

impl Desk {
    /// Where this worker's spans go; `None`: nobody takes any.
    #[must_use]
    pub fn span_ring(&self) -> Option<&SpanRing> {
        self.region.span_ring(self.seat)
    }
}

impl Stock {
    /// Makes the rings that workers write spans to, where there are none yet.
    ///
    /// # Errors
    /// If the region has no room for them.
    pub fn add_span_rings(&self) -> Result<(), RegionError> {
        self.region.add_span_rings()
    }

    /// Takes spans that workers wrote, at most `most` of each.
    #[must_use]
    pub fn take_spans(&self, most: usize) -> Vec<Record> {
        self.span_rings().flat_map(|ring| ring.take(most)).collect()
    }

    /// Spans that workers had no room for.
    #[must_use]
    pub fn spans_dropped(&self) -> u64 {
        self.span_rings().map(SpanRing::dropped).sum()
    }

    fn span_rings(&self) -> impl Iterator<Item = &SpanRing> {
        let seats = self.seats_ever_filled();
        seats.filter_map(|seat| self.region.span_ring(seat))
    }
}
