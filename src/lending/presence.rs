//! What is counted of a host besides its requests under way: the connections of its clients, and who of them stands in a line. Both end by
//! being dropped, as what is counted in [`super::passage`].

use std::{fmt, sync::Arc};

use super::{desk::Desk, passage::Entered};

/// A client connection, counted at the host that it asked last. Dropping it counts it out.
pub struct Present {
    desk: Arc<Desk>,
    row: usize,
}

/// A request in a line, counted at its host. Dropping it counts it out.
pub struct Queued {
    desk: Arc<Desk>,
    row: usize,
}

impl Desk {
    /// Counts a client connection in at the host of `row`.
    #[must_use]
    pub fn attend(self: &Arc<Self>, row: usize) -> Present {
        if let Some(part) = self.host_seat(row) {
            part.connections.rise();
        }
        Present {
            desk: Arc::clone(self),
            row,
        }
    }
}

impl Entered {
    /// Counts it as one that waits in a line.
    #[must_use]
    pub fn queue(&self) -> Queued {
        if let Some(part) = self.part() {
            part.waiting.rise();
        }
        Queued {
            desk: Arc::clone(&self.desk),
            row: self.row,
        }
    }
}

impl Present {
    /// The host's row.
    #[must_use]
    pub fn row(&self) -> usize {
        self.row
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        // A seat that has been given away was settled with it.
        if self.desk.is_seated()
            && let Some(part) = self.desk.host_seat(self.row)
        {
            part.connections.fall();
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        // A seat that has been given away was settled with it.
        if self.desk.is_seated()
            && let Some(part) = self.desk.host_seat(self.row)
        {
            part.waiting.fall();
        }
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}
