//! The index of slots worth trying: one bit a slot. A set bit is a hint; the slot's word decides.
//!
//! A taker clears the bit first and only then goes for the slot's word; whoever frees the slot sets the bit last. So a
//! bit can be wrongly set (harmless: the claim fails), and wrongly clear only while a process stands, or
//! died, between the two steps. [`super::recovery`] mends that from the slot's word.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::{ids::SlotIndex, sync::AtomicU64};

/// Bits of one word.
pub(crate) const WORD_BITS: usize = u64::BITS as usize;

/// A view of the bitmap's words.
#[derive(Debug, Clone, Copy)]
pub struct Bitmap<'a>(&'a [CachePadded<AtomicU64>]);

impl<'a> Bitmap<'a> {
    /// Over `words`, 64 slots each.
    #[must_use]
    pub fn new(words: &'a [CachePadded<AtomicU64>]) -> Self {
        Self(words)
    }

    /// Says that `slot` is worth trying.
    pub(crate) fn set(self, slot: SlotIndex) {
        // Release, pairs with Acquire in `take`: who finds the bit finds the slot's word freed before it. Else
        // the exchange on the word could fail on an older value, and the bit would be lost.
        self.0[slot.get() / WORD_BITS].fetch_or(1 << (slot.get() % WORD_BITS), Release);
    }

    /// Says that `slot` is not.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn clear(self, slot: SlotIndex) {
        // Relaxed: it only spares others a failing claim.
        self.0[slot.get() / WORD_BITS].fetch_and(!(1 << (slot.get() % WORD_BITS)), Relaxed);
    }

    /// Whether `slot` is marked.
    pub(crate) fn is_set(self, slot: SlotIndex) -> bool {
        // Relaxed: compared with the slot's word by the sweep, which acts on the word alone.
        self.0[slot.get() / WORD_BITS].load(Relaxed) & 1 << (slot.get() % WORD_BITS) != 0
    }

    /// Whether any slot is marked.
    pub(crate) fn any(self) -> bool {
        // Relaxed: the fences in `Pool::dispatch` and `Pool::release` order this load against the line.
        self.0.iter().any(|word| word.load(Relaxed) != 0)
    }

    /// Clears marks one by one, from the word at `start` on and around, until `try_slot` says yes; returns that slot.
    pub(crate) fn take(
        self,
        start: usize,
        mut try_slot: impl FnMut(SlotIndex) -> bool,
    ) -> Option<SlotIndex> {
        let words = self.0.len();
        for offset in 0..words {
            let at = (start + offset) % words;
            let word = &self.0[at];
            // Relaxed: a peek; the read-modify-write below decides which of several takers gets the bit.
            let mut marked = word.load(Relaxed);
            while marked != 0 {
                let bit = 1 << marked.trailing_zeros();
                // Acquire, pairs with Release in `set`. No Release: nobody goes by a clear bit but a sweep, and that
                // only ever sets it again.
                let before = word.fetch_and(!bit, Acquire);
                if before & bit != 0 {
                    let slot = SlotIndex::new(at * WORD_BITS + marked.trailing_zeros() as usize);
                    if try_slot(slot) {
                        return Some(slot);
                    }
                }
                marked = before & !bit;
            }
        }
        None
    }

    /// Number of words.
    pub(crate) fn words(self) -> usize {
        self.0.len()
    }
}
