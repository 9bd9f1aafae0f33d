//! What the worker must know of each connection from outside it: whether it asks nothing, stands in line, or is to end.

use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering::Relaxed, // One thread writes and reads; the atomics only make the types shareable.
};

use tpp::ids::{PoolId, SlotIndex};

use crate::clock::NEVER;

/// A slot's index takes fewer bits.
const POOL_SHIFT: u32 = 32;

/// Where a connection stands. All times are the worker's clock's, milliseconds.
#[derive(Debug)]
pub(crate) struct Standing {
    idle_since: AtomicU64,
    /// Pool and slot that it holds while idle, plus one; 0: none.
    idle_slot: AtomicU64,
    /// Until when the end of a drain leaves it alone; `NEVER`: it stands in line.
    spared_until: AtomicU64,
    cut: AtomicBool,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            idle_since: AtomicU64::new(NEVER),
            idle_slot: AtomicU64::new(0),
            spared_until: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        }
    }
}

impl Standing {
    /// It asks nothing from `now` on, and holds `slot` meanwhile.
    pub(crate) fn rest(&self, now: u64, slot: Option<(PoolId, SlotIndex)>) {
        self.idle_since.store(now, Relaxed);
        let slot = slot.map_or(0, |(pool, slot)| {
            (u64::from(pool.get()) << POOL_SHIFT | slot.get() as u64) + 1
        });
        self.idle_slot.store(slot, Relaxed);
    }

    /// It has begun to ask something, or has ended.
    pub(crate) fn rise(&self) {
        self.idle_since.store(NEVER, Relaxed);
        self.idle_slot.store(0, Relaxed);
    }

    /// The slot that it holds and asks nothing of, and its pool.
    pub(crate) fn idle_slot(&self) -> Option<(PoolId, SlotIndex)> {
        let both = self.idle_slot.load(Relaxed).checked_sub(1)?;
        let pool = u16::try_from(both >> POOL_SHIFT).ok()?;
        let slot = usize::try_from(both & ((1 << POOL_SHIFT) - 1)).ok()?;
        Some((PoolId::new(pool), SlotIndex::new(slot)))
    }

    /// Whether it has asked nothing for `least` milliseconds.
    pub(crate) fn is_idle_for(&self, least: u64, now: u64) -> bool {
        self.idle_since.load(Relaxed).saturating_add(least) <= now
    }

    /// It stands in line: the end of a drain leaves it its place.
    pub(crate) fn join_line(&self) {
        self.spared_until.store(NEVER, Relaxed);
    }

    /// It has left the line; what it goes on to do may take until `spared_until`, should the time to drain be over already.
    pub(crate) fn leave_line(&self, spared_until: u64) {
        self.spared_until.store(spared_until, Relaxed);
    }

    /// Whether the end of a drain leaves it alone.
    pub(crate) fn is_spared(&self, now: u64) -> bool {
        self.spared_until.load(Relaxed) > now
    }

    pub(crate) fn cut(&self) {
        self.cut.store(true, Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_nothing_is_idle() {
        let standing = Standing::default();
        assert!(!standing.is_idle_for(0, u64::MAX - 1));
        let held = (PoolId::new(3), SlotIndex::new(0));
        standing.rest(100, Some(held));
        assert!(standing.is_idle_for(50, 150) && !standing.is_idle_for(51, 150));
        assert_eq!(standing.idle_slot(), Some(held));
        standing.rise();
        assert!(!standing.is_idle_for(0, 150) && standing.idle_slot().is_none());
    }

    #[test]
    fn who_stands_in_line_is_spared_and_afterwards_for_a_time() {
        let standing = Standing::default();
        assert!(!standing.is_spared(0));
        standing.join_line();
        assert!(standing.is_spared(1_000_000));
        standing.leave_line(500);
        assert!(standing.is_spared(499) && !standing.is_spared(500));
    }
}
