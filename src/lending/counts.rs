//! What is counted of a pool and of each of its slots, for people to read.

use std::time::Duration;

use super::stock::Stock;
use crate::{
    clock::{boot_millis, monotonic_millis},
    ids::SlotIndex,
    shared::{PoolCounts, PoolLogins},
};

impl Stock {
    /// What its supervisors count of the pool; `None`: it has no tokens, or an older version laid it out.
    #[must_use]
    pub fn logins(&self) -> Option<&PoolLogins> {
        self.region.pool_logins_at(self.parts())
    }

    /// All that is counted of the pool; `None` as above.
    #[must_use]
    pub fn counts(&self) -> Option<PoolCounts> {
        let seats = self.region.pool_seats_at(self.parts());
        let logins = self.logins()?;
        Some(PoolCounts::of(seats, logins, boot_millis()))
    }

    /// How long ago the last request was sent with the slot; `None`: never.
    #[must_use]
    pub fn last_used(&self, slot: SlotIndex) -> Option<Duration> {
        let at = self.token_words(slot).last_used()?;
        Some(Duration::from_millis(monotonic_millis().saturating_sub(at)))
    }

    /// Requests sent with the slot.
    #[must_use]
    pub fn uses(&self, slot: SlotIndex) -> u64 {
        self.token_words(slot).uses()
    }
}
