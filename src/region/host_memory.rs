//! What a supervisor that shares a pool's accounts with other hosts leaves to the next one: bytes that only they read. There once such a
//! supervisor has been in charge.

use super::{
    Region, RegionError,
    directory::Span,
    kind::Kind,
    sections::{bytes_of, optional_span},
};
use crate::{ids::PoolId, shared::Publication, sync::AtomicU64};

/// Room for it.
const MEMORY_BYTES: usize = 4 * 1024;
/// The version, and the publication.
const WORDS: usize = 1 + Publication::words_for(MEMORY_BYTES);

impl Region {
    /// Makes the place for it in `pool`, where there is none yet; only the supervisor may.
    ///
    /// # Errors
    /// If the region has no room, or what lies there is damaged.
    pub fn add_host_memory(&self, pool: PoolId) -> Result<(), RegionError> {
        if self.directory().find(Kind::HostMemory, pool).is_none() {
            let added = self.directory().add(Kind::HostMemory, pool, WORDS, 0);
            let bytes = bytes_of([(Kind::HostMemory, WORDS)]);
            added.ok_or(RegionError::Full { bytes })?;
        }
        self.find_host_memory(pool).map(drop)
    }

    fn find_host_memory(&self, pool: PoolId) -> Result<Option<Span<AtomicU64>>, RegionError> {
        let entry = self.directory().find(Kind::HostMemory, pool);
        let entry = entry.filter(|entry| entry.lies_within(self.bytes));
        let span = optional_span(entry)?;
        // Of another version with another size: nothing of it can be used.
        Ok(span.filter(|span| span.count() == WORDS))
    }

    /// What was left in `pool`; `None`: there is no place for it, or none that this version can use.
    #[must_use]
    pub fn host_memory(&self, pool: PoolId) -> Option<Publication<'_>> {
        let span = self.find_host_memory(pool).ok()??;
        let (version, words) = self.mapping.section(span).split_first()?;
        Some(Publication::new(version, words))
    }
}
