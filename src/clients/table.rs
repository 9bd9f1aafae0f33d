//! How many connections each address has in one worker: a table that one writes and others read meanwhile.
//!
//! A word is a key with its count, so no reader sees one without the other. A key may lie in either of two buckets, a line of
//! memory each, and stays where it is until its count is zero: a reader that looks through both finds it if it is there.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

use super::key::{KEY_BITS, Key};

/// Words of a bucket.
pub(super) const BUCKET: usize = 8;
const COUNT_BITS: u32 = 64 - KEY_BITS;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// A table over zeroed words. All orderings are Relaxed: whoever adds up several tables has the fence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a>(&'a [AtomicU64]);

impl<'a> Table<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// Counts one more of `key`. False: there is no room for it, or for one more. Then tens of thousands of addresses are
    /// connected to one worker, and it is not a bound on each that stops them.
    #[must_use]
    pub(super) fn add(&self, key: Key) -> bool {
        if let Some((word, value)) = self.find(key) {
            let has_room = value & COUNT < COUNT;
            if has_room {
                word.store(value + 1, Relaxed);
            }
            return has_room;
        }
        // Into the emptier one: so neither is full before nearly all are.
        let buckets = self.buckets(key);
        let free = |bucket: &'a [AtomicU64]| bucket.iter().filter(|word| word.load(Relaxed) == 0);
        let emptier = if free(buckets[0]).count() >= free(buckets[1]).count() {
            buckets[0]
        } else {
            buckets[1]
        };
        let place = free(emptier).next();
        if let Some(word) = place {
            word.store(key.bits << COUNT_BITS | 1, Relaxed);
        }
        place.is_some()
    }

    /// Counts one of `key` less.
    pub(super) fn remove(&self, key: Key) {
        if let Some((word, value)) = self.find(key) {
            word.store(if value & COUNT > 1 { value - 1 } else { 0 }, Relaxed);
        }
    }

    /// How many there are of `key`.
    pub(super) fn count(&self, key: Key) -> u64 {
        self.find(key).map_or(0, |(_, value)| value & COUNT)
    }

    fn find(&self, key: Key) -> Option<(&'a AtomicU64, u64)> {
        let words = self.buckets(key).into_iter().flatten();
        words
            .map(|word| (word, word.load(Relaxed)))
            .find(|(_, value)| value >> COUNT_BITS == key.bits && value & COUNT > 0)
    }

    fn buckets(&self, key: Key) -> [&'a [AtomicU64]; 2] {
        let buckets = self.0.len() / BUCKET;
        // Each half of the hash, spread over the buckets.
        [key.hash >> 32, key.hash & 0xffff_ffff].map(|half| {
            let at = usize::try_from((half * buckets as u64) >> 32).unwrap_or(0);
            &self.0[at * BUCKET..][..BUCKET]
        })
    }
}
