//! What lies where in the region: the directory at its begin says it, so that a reader need not know all there is.
//!
//! ```text
//! word 0   magic
//!      1   layout version
//!      2   bytes of the region
//!      3   entries in use
//!     16…  entries, four words each: tag (kind 16 | pool 16 | size of an element 32), offset, elements, key
//! ```
//! A section of a kind that a reader does not know is none of its business. One that it needs and does not find, or whose
//! elements have another size, makes the region unreadable to it. Only the supervisor in charge writes.

use std::{
    collections::{BTreeMap, HashSet},
    marker::PhantomData,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use crossbeam_utils::CachePadded;

use crate::{
    ids::PoolId,
    sync::{AtomicU64, fence},
};

use super::{RegionError, kind::Kind};

/// Begins every region: "tppregn" and a byte that no text file has there.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"\x89tppregn");
/// Raised whenever a word that is there already changes its meaning, or the directory its form. A new kind of section, or a new
/// word in what was reserved, does not raise it.
pub const LAYOUT_VERSION: u64 = 4;
/// Where the sections of no pool begin, so that what is never touched is never there.
pub(super) const PAGE: usize = 4096;
/// Where those of pools begin, close behind one another. On pages, the first lines of all of them would have the few places of a
/// processor's cache that go by the lowest bits of an address: a hundred limits that are asked in turn drove each other out.
pub(super) const GRAIN: usize = align_of::<CachePadded<u64>>();
/// Bytes at the region's begin that are the directory's.
pub(super) const DIRECTORY_BYTES: usize = 32 * PAGE;
/// Words before the first entry.
pub(super) const HEADER_WORDS: usize = 16;
const ENTRY_WORDS: usize = 4;
const MOST_ENTRIES: usize = (DIRECTORY_BYTES / size_of::<AtomicU64>() - HEADER_WORDS) / ENTRY_WORDS;

/// A section's place: `count` elements of `T`, `offset` bytes from the region's begin.
#[derive(Debug)]
pub(super) struct Span<T> {
    offset: usize,
    count: usize,
    of: PhantomData<T>,
}

impl<T> Clone for Span<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Span<T> {}

impl<T> Span<T> {
    pub(super) const fn new(offset: usize, count: usize) -> Self {
        Self {
            offset,
            count,
            of: PhantomData,
        }
    }

    pub(super) const fn offset(self) -> usize {
        self.offset
    }

    pub(super) const fn count(self) -> usize {
        self.count
    }
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// [`Kind`], or one that a newer version knows.
    pub(super) kind: u16,
    pub(super) pool: PoolId,
    /// Bytes of an element.
    pub(super) size: u32,
    pub(super) offset: usize,
    /// Elements.
    pub(super) count: usize,
    /// For whoever made the section; the directory does not care.
    pub(super) key: u64,
}

impl Entry {
    fn tag(&self) -> u64 {
        u64::from(self.size) << 32 | u64::from(self.pool.get()) << 16 | u64::from(self.kind)
    }

    fn of(tag: u64, [offset, count, key]: [u64; 3]) -> Self {
        let low = |bits: u64| (bits & 0xffff) as u16;
        Self {
            kind: low(tag),
            pool: PoolId::new(low(tag >> 16)),
            size: (tag >> 32) as u32,
            // A number too large for `usize` is out of bounds as well.
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
            count: usize::try_from(count).unwrap_or(usize::MAX),
            key,
        }
    }

    pub(super) fn is_of_a_pool(&self) -> bool {
        self.kind >= Kind::OF_POOLS
    }

    fn grain(&self) -> usize {
        grain_of(self.kind)
    }

    /// Where it ends, rounded up to where another may begin; `None`: nowhere.
    pub(super) fn end(&self) -> Option<usize> {
        (self.size as usize)
            .checked_mul(self.count)
            .and_then(|bytes| self.offset.checked_add(bytes))
            .and_then(|end| end.checked_next_multiple_of(self.grain()))
    }

    /// Whether it ends within a region of `bytes` bytes. What was added after a region was opened has not been checked with
    /// its directory.
    pub(super) fn lies_within(&self, bytes: usize) -> bool {
        self.end().is_some_and(|end| end <= bytes)
    }
}

/// What the begin of a section of that kind is a multiple of, bytes. Tokens lie on pages of their own, which are locked into memory.
pub(super) fn grain_of(kind: u16) -> usize {
    if kind >= Kind::OF_POOLS && kind != Kind::TokenBytes as u16 {
        GRAIN
    } else {
        PAGE
    }
}

/// A view of the directory's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a>(&'a [AtomicU64]);

impl<'a> Directory<'a> {
    /// Over the first [`DIRECTORY_BYTES`] of a region.
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Begins an empty one, for a region of `bytes` bytes that nobody else sees yet.
    pub(super) fn begin(self, bytes: usize) {
        for (at, value) in [MAGIC, LAYOUT_VERSION, bytes as u64]
            .into_iter()
            .enumerate()
        {
            // Relaxed: nobody else has the region.
            self.0[at].store(value, Relaxed);
        }
    }

    fn bytes(self) -> usize {
        // Relaxed: never changes.
        usize::try_from(self.0[2].load(Relaxed)).unwrap_or(usize::MAX)
    }

    fn used(self) -> usize {
        // Acquire, pairs with Release in `add`. The bound keeps a damaged number from leading anywhere.
        let used = self.0[3].load(Acquire);
        usize::try_from(used).map_or(MOST_ENTRIES, |used| used.min(MOST_ENTRIES))
    }

    fn words(self, at: usize) -> &'a [AtomicU64] {
        &self.0[HEADER_WORDS + at * ENTRY_WORDS..][..ENTRY_WORDS]
    }

    /// The entry at `at`; `None`: there is none.
    fn entry(self, at: usize) -> Option<Entry> {
        let [tag, rest @ ..] = self.words(at) else {
            return None;
        };
        loop {
            // Acquire, all: pairs with Release in `add`, and keeps the second look last.
            let before = tag.load(Acquire);
            if before == 0 {
                return None;
            }
            let said = [&rest[0], &rest[1], &rest[2]].map(|word| word.load(Acquire));
            // Relaxed: ordered by the loads before. A tag tells a pool from its successors at this place: their numbers differ.
            if tag.load(Relaxed) == before {
                return Some(Entry::of(before, said));
            }
        }
    }

    /// All that there is, in no order.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry> + 'a {
        (0..self.used()).filter_map(move |at| self.entry(at))
    }

    /// The one section of `kind` in `pool`.
    pub(super) fn find(self, kind: Kind, pool: PoolId) -> Option<Entry> {
        self.entries()
            .find(|entry| (entry.kind, entry.pool) == (kind as u16, pool))
    }

    /// Enters a section, at a place that nothing else has. `None`: there is no room for it.
    pub(super) fn add(self, kind: Kind, pool: PoolId, count: usize, key: u64) -> Option<Entry> {
        let mut entry = Entry {
            kind: kind as u16,
            pool,
            size: u32::try_from(kind.size()).ok()?,
            offset: 0,
            count,
            key,
        };
        entry.offset = self.room_for(&entry)?;
        let used = self.used();
        let free = (0..used).find(|&at| self.entry(at).is_none());
        let at = free.or_else(|| (used < MOST_ENTRIES).then_some(used))?;
        let [tag, rest @ ..] = self.words(at) else {
            return None;
        };
        // Release fence, pairs with the Acquire loads in `entry`: who reads a word stored below finds, at its second look, the
        // tag gone that `remove` cleared.
        fence(Release);
        for (word, value) in rest.iter().zip([entry.offset as u64, count as u64, key]) {
            word.store(value, Relaxed);
        }
        // Release, both: who sees the tag sees what it stands for, and who counts the entry sees the tag.
        tag.store(entry.tag(), Release);
        if at == used {
            self.0[3].store(used as u64 + 1, Release);
        }
        Some(entry)
    }

    /// The sections of `pool`.
    pub(super) fn of_pool(self, pool: PoolId) -> Vec<Entry> {
        self.entries()
            .filter(|entry| entry.is_of_a_pool() && entry.pool == pool)
            .collect()
    }

    /// The sections of all pools, pool by pool.
    pub(super) fn by_pool(self) -> BTreeMap<PoolId, Vec<Entry>> {
        let mut pools: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in self.entries().filter(Entry::is_of_a_pool) {
            pools.entry(entry.pool).or_default().push(entry);
        }
        pools
    }

    /// Strikes the sections of `pool` out: their room is free. The one by which a pool counts goes first.
    pub(super) fn remove(self, pool: PoolId) {
        let mut at: Vec<_> = (0..self.used())
            .filter_map(|at| Some((self.entry(at)?, at)))
            .filter(|(entry, _)| entry.is_of_a_pool() && entry.pool == pool)
            .map(|(entry, at)| (entry.kind != Kind::PoolWords as u16, at))
            .collect();
        at.sort_unstable();
        for (_, at) in at {
            // Release: what counts goes before the rest; beyond that see the fence in `add`.
            self.words(at)[0].store(0, Release);
        }
    }

    /// Where `entry` fits in: the first gap between sections, or behind the last.
    fn room_for(self, entry: &Entry) -> Option<usize> {
        let (bytes, grain) = (entry.end()?, entry.grain());
        let mut taken: Vec<_> = self
            .entries()
            .map(|entry| (entry.offset, entry.end()))
            .collect();
        taken.sort_unstable();
        let mut at = DIRECTORY_BYTES;
        for (offset, end) in taken {
            if offset.saturating_sub(at) >= bytes {
                return Some(at);
            }
            at = end?.checked_next_multiple_of(grain)?;
        }
        (self.bytes().checked_sub(at)? >= bytes).then_some(at)
    }

    /// Checks what can be said of any directory of a region of `length` bytes: sections lie in it and nowhere overlap, and
    /// none stands in it twice.
    pub(super) fn check(self, length: usize) -> Result<(), RegionError> {
        let damaged = |what, found, expected| RegionError::Damaged {
            what,
            found,
            expected,
        };
        if self.bytes() != length {
            return Err(damaged("length", length as u64, self.bytes() as u64));
        }
        // Relaxed: compared with what `used` makes of it.
        let used = self.0[3].load(Relaxed);
        if used > MOST_ENTRIES as u64 {
            return Err(damaged("entries", used, MOST_ENTRIES as u64));
        }
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_unstable_by_key(|entry| entry.offset);
        let (mut at, mut seen) = (DIRECTORY_BYTES, HashSet::new());
        for entry in entries {
            let (found, expected) = (entry.offset as u64, at as u64);
            if entry.offset < at || !entry.offset.is_multiple_of(entry.grain()) {
                return Err(damaged("section offset", found, expected));
            }
            let end = entry.end().filter(|&end| end <= length);
            at = end.ok_or_else(|| damaged("section length", entry.count as u64, length as u64))?;
            if !seen.insert((entry.kind, entry.pool)) {
                return Err(damaged("sections of one kind", 2, 1));
            }
        }
        Ok(())
    }
}
