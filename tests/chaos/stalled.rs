//! Connections whose clients do nothing to end them.

use std::time::Duration;

use crate::common::client::Client;

/// A client that drips moves something this often.
pub(crate) const DRIP: Duration = Duration::from_millis(50);
/// Bytes at a time: far less than the least rate.
pub(crate) const DROP: usize = 200;

/// A connection whose client reads no more, or next to nothing, and never ends it.
#[derive(Debug)]
pub(crate) struct Stalled {
    pub(crate) client: Client,
    pub(crate) drips: bool,
}

impl Stalled {
    /// Takes next to nothing, if it is of that kind.
    pub(crate) fn drip(&mut self) {
        if self.drips {
            // There may be nothing, or nothing any more.
            drop(self.client.sip(DROP));
        }
    }
}
