//! The pools of a region: the one that each has, and those that come and go.

use std::{collections::BTreeSet, io, sync::atomic::Ordering::Relaxed};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::{
    ids::{PoolId, SlotIndex},
    pool::{Bitmap, Pool, SeatSet, Slot},
    shared::{Hopeless, PoolLogins, PoolSeat, PoolWords, Publication, Suspects, Terms, TokenWords},
    sync::AtomicU64,
};

use super::{
    Region, RegionError,
    directory::Entry,
    kind::Kind,
    sections::{PoolGeometry, PoolParts, lay_out_pool},
};

/// Numbers that are tried for a new pool before the directory must be full.
const MOST_POOLS: usize = 1 << 16;

impl Region {
    /// The pool that every region has, as far as it is configured.
    #[must_use]
    pub fn pool(&self) -> Pool<'_> {
        self.pool_at(&self.default)
    }

    /// Where the parts of that pool lie.
    #[must_use]
    pub fn default_pool(&self) -> &PoolParts {
        &self.default
    }

    /// Where the parts of pool `id` lie; `None`: there is no such pool, or none that this version can use.
    #[must_use]
    pub fn find_pool(&self, id: PoolId) -> Option<PoolParts> {
        self.parts_of(id, &self.directory().of_pool(id))
    }

    fn parts_of(&self, id: PoolId, sections: &[Entry]) -> Option<PoolParts> {
        let parts = PoolParts::find(sections, id, self.parts.seats.count()).ok()?;
        let mut sections = sections.iter();
        sections
            .all(|entry| entry.lies_within(self.bytes))
            .then_some(parts)
    }

    /// All pools, the default one first.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolParts> {
        let pools = self.directory().by_pool().into_iter();
        pools
            .filter_map(|(id, sections)| self.parts_of(id, &sections))
            .collect()
    }

    /// Adds a pool; only the supervisor may. `key` is any number to find it by, for a supervisor that takes over.
    ///
    /// # Errors
    /// If the geometry is out of bounds, or there is no room for it.
    pub fn add_pool(&self, key: u64, geometry: PoolGeometry) -> Result<PoolParts, RegionError> {
        let seats = self.parts.seats.count();
        geometry.check(seats)?;
        self.remove_remains().map_err(RegionError::Map)?;
        let full = RegionError::Full {
            bytes: geometry.bytes(seats),
        };
        let Some(id) = self.next_pool_id() else {
            return Err(full);
        };
        lay_out_pool(self.directory(), id, key, geometry, seats).ok_or(full)?;
        PoolParts::find(&self.directory().of_pool(id), id, seats)
    }

    /// A number that no pool has, and that has not been given for as long as can be.
    fn next_pool_id(&self) -> Option<PoolId> {
        let last = &self.shared().last_pool;
        for _ in 1..MOST_POOLS {
            // Relaxed, both: the supervisor alone writes it.
            let next = last.load(Relaxed).wrapping_add(1);
            last.store(next, Relaxed);
            let id = PoolId::new((next & 0xffff) as u16);
            let is_taken = self.directory().entries().any(|entry| entry.pool == id);
            if id != PoolId::DEFAULT && !is_taken {
                return Some(id);
            }
        }
        None
    }

    /// Takes a pool away and wipes what it held; only the supervisor may, and only when no worker uses it any more. The
    /// default pool stays.
    ///
    /// # Errors
    /// If the memory cannot be written.
    pub fn remove_pool(&self, id: PoolId) -> io::Result<()> {
        if id == PoolId::DEFAULT {
            return Ok(());
        }
        // Wiped while it is still there: a supervisor that dies in between leaves a pool of which nothing can be lent, and
        // its successor removes it again. Afterwards its room must read as zeros, for the next one.
        for entry in self.directory().of_pool(id) {
            self.wipe(&entry)?;
        }
        self.directory().remove(id);
        Ok(())
    }

    /// Removes what a supervisor left that died while it added or removed a pool: sections of a pool that is none.
    fn remove_remains(&self) -> io::Result<()> {
        let directory = self.directory();
        let parts = directory.entries().filter(|entry| entry.is_of_a_pool());
        let ids: BTreeSet<_> = parts.map(|entry| entry.pool).collect();
        ids.into_iter()
            .filter(|&id| directory.find(Kind::PoolWords, id).is_none())
            .try_for_each(|id| self.remove_pool(id))
    }

    /// Gives a section's memory back: it reads as zeros.
    fn wipe(&self, entry: &Entry) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let end = entry.end().unwrap_or(0).min(self.bytes);
        let number = |bytes: usize| i64::try_from(bytes).map_err(io::Error::other);
        let length = number(end.saturating_sub(entry.offset))?;
        if length > 0 {
            fallocate(&self.file, flags, number(entry.offset)?, length)?;
        }
        Ok(())
    }

    /// A view of the pool at `parts`, as far as it is configured.
    #[must_use]
    pub fn pool_at(&self, parts: &PoolParts) -> Pool<'_> {
        let words = self.words_at(parts);
        let slots = self.mapping.section(parts.slots);
        Pool {
            slots: &slots[..words.terms.slots_used().min(slots.len())],
            bitmap: Bitmap::new(self.mapping.section(parts.bitmap)),
            seats: self.mapping.section(self.parts.seats),
            lines: self.mapping.section(parts.lines),
            window: parts.window,
            places: self.mapping.section(parts.places),
            line_seats: SeatSet::new(self.mapping.section(parts.line_seats)),
            tickets: &words.tickets,
        }
    }

    /// The slots of the pool at `parts`, configured or not: for whoever needs nothing else of it.
    #[must_use]
    pub fn slots_at(&self, parts: &PoolParts) -> &[Slot] {
        self.mapping.section(parts.slots)
    }

    fn words_at(&self, parts: &PoolParts) -> &PoolWords {
        &self.mapping.section(parts.words)[0]
    }

    /// What holds for the pool at `parts` as a whole.
    #[must_use]
    pub fn terms_at(&self, parts: &PoolParts) -> &Terms {
        &self.words_at(parts).terms
    }

    /// What the slots of the pool at `parts` stand for; none if it has no tokens.
    #[must_use]
    pub fn tokens_at(&self, parts: &PoolParts) -> &[TokenWords] {
        self.mapping.section(parts.tokens)
    }

    /// What each seat's worker counts of the pool at `parts`; nothing if it has no tokens.
    #[must_use]
    pub fn pool_seats_at(&self, parts: &PoolParts) -> &[PoolSeat] {
        self.mapping.section(parts.seats)
    }

    /// What its supervisors count of the pool at `parts`; `None`: it has no tokens, or an older version laid it out.
    #[must_use]
    pub fn pool_logins_at(&self, parts: &PoolParts) -> Option<&PoolLogins> {
        self.mapping.section(parts.logins).first()
    }

    /// Slots of the pool at `parts` whose token was refused or is spent, as the workers reported them.
    #[must_use]
    pub fn suspects_at(&self, parts: &PoolParts) -> Suspects<'_> {
        Suspects::new(&self.words_at(parts).suspects, self.tokens_at(parts))
    }

    /// The same of the default pool.
    #[must_use]
    pub fn suspects(&self) -> Suspects<'_> {
        self.suspects_at(&self.default)
    }

    /// Whether the default pool has no token to wait for, and why.
    #[must_use]
    pub fn hopeless(&self) -> Option<Hopeless> {
        self.terms_at(&self.default).hopeless()
    }

    /// The token of `slot` in the pool at `parts`.
    ///
    /// # Panics
    /// If that pool has no tokens.
    #[must_use]
    pub fn token_at(&self, parts: &PoolParts, slot: SlotIndex) -> Publication<'_> {
        let all: &[AtomicU64] = self.mapping.section(parts.token_bytes);
        let at = slot.get() * parts.token_words;
        Publication::new(
            &self.slots_at(parts)[slot.get()].version,
            &all[at..at + parts.token_words],
        )
    }

    /// Its version alone, which lies with the slot: a request looks no further while it has not changed.
    #[must_use]
    pub fn token_version_at(&self, parts: &PoolParts, slot: SlotIndex) -> u64 {
        Publication::new(&self.slots_at(parts)[slot.get()].version, &[]).version()
    }

    /// The token of `slot` in the default pool.
    #[must_use]
    pub fn token(&self, slot: SlotIndex) -> Publication<'_> {
        self.token_at(&self.default, slot)
    }

    /// Slots of the default pool that are or were configured.
    #[must_use]
    pub fn slots_used(&self) -> usize {
        let used = self.terms_at(&self.default).slots_used();
        used.min(self.geometry().slots)
    }

    /// Says how many slots of the default pool are configured. Slots are only ever added; one that is no longer configured
    /// stays, empty.
    pub fn set_slots_used(&self, slots: usize) {
        self.terms_at(&self.default).set_slots_used(slots);
    }

    /// Keeps the tokens of the first `slots` slots of the default pool out of swap, as far as the limit on locked memory
    /// allows.
    ///
    /// # Errors
    /// If it does not.
    pub fn lock_tokens(&self, slots: usize) -> io::Result<()> {
        self.lock_tokens_at(&self.default, slots)
    }

    /// The same for the pool at `parts`.
    ///
    /// # Errors
    /// If the limit on locked memory does not allow it.
    pub fn lock_tokens_at(&self, parts: &PoolParts, slots: usize) -> io::Result<()> {
        let slots = slots.min(parts.slots.count());
        let bytes = slots * parts.token_words * size_of::<AtomicU64>();
        self.mapping.lock(parts.token_bytes.offset(), bytes)
    }
}
