//! Which workers there are, this one included.

use parking_lot::Mutex;
use tpp::{ids::SeatIndex, lending::Desk};

/// Seats that were filled at the last tick. To look at each seat for each request would be a line of memory for each, and there are
/// many more seats than workers.
#[derive(Debug)]
pub(crate) struct Neighbours(Mutex<Vec<SeatIndex>>);

impl Neighbours {
    pub(crate) fn new(desk: &Desk) -> Self {
        Self(Mutex::new(desk.filled_seats().collect()))
    }

    /// Looks at all seats.
    pub(crate) fn look(&self, desk: &Desk) {
        let mut seats = self.0.lock();
        seats.clear();
        seats.extend(desk.filled_seats());
    }

    /// Requests under way at the host of `row`, over all workers but those that began since the last tick.
    pub(crate) fn host_in_flight(&self, desk: &Desk, row: usize) -> u64 {
        desk.host_in_flight(row, self.0.lock().iter().copied())
    }
}
