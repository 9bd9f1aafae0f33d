//! What the supervisor's sweeps remember: an offer that is still open at the next look was forgotten.

use std::collections::{HashMap, HashSet};

use crate::{ids::PoolId, pool::SlotWord};

/// Offers that were open when their pool was last looked at: slot, and its word.
pub(super) type OpenOffers = HashMap<PoolId, HashSet<(usize, SlotWord)>>;

/// What is remembered from one sweep to the next.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// The first pool whose turn it is.
    pub(super) next: u16,
    pub(super) open: OpenOffers,
}
