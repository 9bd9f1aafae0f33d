//! Tables of rows, each of which is one name's: what is limited of a host, a server or a group over all workers. The supervisor gives
//! rows out, in a plan; workers use them by number.
//!
//! A row that a plan does without is given to another name only when every worker goes by that plan, or a later one, and nobody is
//! in the middle of anything under it: so a late result is never another's.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::sync::AtomicU64;

use super::conduct::Conduct;

/// Buckets of a row's [`super::FailureWindow`].
pub const BUCKETS: usize = 10;

/// Whose a row is.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RowHead {
    /// The name's key; 0: nobody's.
    key: AtomicU64,
    /// The first plan without it; 0: it is in use.
    gone: AtomicU64,
}

/// What has a head.
pub trait Row {
    /// Whose it is.
    fn head(&self) -> &RowHead;
    /// Makes it as good as new. The supervisor's move, while nobody uses it.
    fn clear(&self);
}

/// A virtual host's row.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct HostRow {
    head: RowHead,
    /// [`super::Breaker`].
    pub breaker: AtomicU64,
    reserved: [AtomicU64; 13],
    /// [`super::FailureWindow`].
    pub window: [AtomicU64; BUCKETS],
    reserved_too: [AtomicU64; 6],
}

/// A backend's row.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct BackendRow {
    head: RowHead,
    /// How it behaves.
    pub conduct: Conduct,
    reserved: [AtomicU64; 8],
}

/// A host's use of a backend.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct PairRow {
    head: RowHead,
    /// [`super::Breaker`]: of the host towards this backend alone.
    pub breaker: AtomicU64,
    reserved: [AtomicU64; 5],
}

/// The row of a group: the backends of a tag, as one host uses them.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct GroupRow {
    head: RowHead,
    reserved: [AtomicU64; 29],
    /// Whose turn it is.
    order: AtomicU64,
}

impl GroupRow {
    /// The next number, over all workers: whose turn it is, modulo the length of the schedule.
    pub fn next(&self) -> u64 {
        // Relaxed: only that no number is given out twice matters.
        self.order.fetch_add(1, Relaxed)
    }
}

fn wipe(words: &[AtomicU64]) {
    // Relaxed: nobody uses the row; the key that is stored last with Release makes it the next one's.
    words.iter().for_each(|word| word.store(0, Relaxed));
}

impl Row for HostRow {
    fn head(&self) -> &RowHead {
        &self.head
    }

    fn clear(&self) {
        wipe(std::slice::from_ref(&self.breaker));
        wipe(&self.window);
    }
}

impl Row for BackendRow {
    fn head(&self) -> &RowHead {
        &self.head
    }

    fn clear(&self) {
        self.conduct.clear();
    }
}

impl Row for PairRow {
    fn head(&self) -> &RowHead {
        &self.head
    }

    fn clear(&self) {
        wipe(std::slice::from_ref(&self.breaker));
    }
}

impl Row for GroupRow {
    fn head(&self) -> &RowHead {
        &self.head
    }

    fn clear(&self) {
        wipe(std::slice::from_ref(&self.order));
    }
}

impl RowHead {
    /// Whose it is; 0: nobody's.
    pub fn key(&self) -> u64 {
        // Acquire, pairs with Release in `take`: who sees whose it is sees it clean.
        self.key.load(Acquire)
    }

    fn gone(&self) -> u64 {
        // Relaxed: the supervisor alone reads and writes it.
        self.gone.load(Relaxed)
    }

    fn take<R: Row>(row: &R, key: u64, clear_more: impl FnOnce()) {
        let head = row.head();
        // Nobody's first: one who dies half-way leaves a row that is cleared again. Relaxed: the supervisor's own order, kept
        // for its successor by its death.
        head.key.store(0, Relaxed);
        head.gone.store(0, Relaxed);
        row.clear();
        clear_more();
        // Release: see `key`.
        head.key.store(key, Release);
    }
}

/// The table has no row left: as many are in use as there are, or have been until a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no more than {most} at once")]
pub struct TableFull {
    /// Its rows.
    pub most: usize,
}

/// What a table has for keys.
struct Found {
    /// Where each of them is already.
    places: HashMap<u64, Option<usize>>,
    /// Rows that can be given to a name.
    free: Vec<usize>,
    /// Rows whose names are none of them, from now on.
    left: Vec<usize>,
}

impl Found {
    fn missing(&self) -> usize {
        self.places.values().filter(|place| place.is_none()).count()
    }
}

/// A table, for whoever gives its rows out.
pub struct Table<'a, R> {
    rows: &'a [R],
    /// So many of them may be somebody's; those behind them are nobody's, and are not looked at.
    written: usize,
}

impl<R> std::fmt::Debug for Table<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} rows)", self.rows.len())
    }
}

impl<'a, R: Row> Table<'a, R> {
    /// Over `rows`, of which those behind the first `written` have never been anybody's.
    #[must_use]
    pub fn new(rows: &'a [R], written: usize) -> Self {
        let written = written.min(rows.len());
        Self { rows, written }
    }

    fn written(&self) -> &'a [R] {
        &self.rows[..self.written]
    }

    /// Gives each of `keys`, which are not 0, its row: the one it has, or a free one. Those of no key are gone from plan
    /// `generation` on. `is_quiet` says whether nobody uses a row any more that is gone since a plan; `clear` does what else is to be
    /// done to it. Only the supervisor may call it; cut off, it is done again.
    ///
    /// # Errors
    /// If there are too few rows; nothing is changed then.
    pub fn assign(
        &self,
        keys: &[u64],
        generation: u64,
        is_quiet: impl Fn(usize, u64) -> bool,
        clear: impl Fn(usize),
    ) -> Result<Vec<usize>, TableFull> {
        let full = TableFull {
            most: self.rows.len(),
        };
        let found = self.find(keys, is_quiet);
        if found.missing() > found.free.len() {
            return Err(full);
        }
        let given = self.give(found, keys, generation, clear);
        given.into_iter().map(|place| place.ok_or(full)).collect()
    }

    /// The same as far as there are rows: the first ones of `keys` that need a new row get it, and the last ones none.
    pub fn assign_some(
        &self,
        keys: &[u64],
        generation: u64,
        is_quiet: impl Fn(usize, u64) -> bool,
        clear: impl Fn(usize),
    ) -> Vec<Option<usize>> {
        self.give(self.find(keys, is_quiet), keys, generation, clear)
    }

    fn find(&self, keys: &[u64], is_quiet: impl Fn(usize, u64) -> bool) -> Found {
        let mut places: HashMap<u64, Option<usize>> = keys.iter().map(|key| (*key, None)).collect();
        let mut free = Vec::new();
        let mut left = Vec::new();
        for (at, row) in self.written().iter().enumerate() {
            let head = row.head();
            match (head.key(), head.gone()) {
                (0, _) => free.push(at),
                (key, gone) => match places.get_mut(&key) {
                    Some(place) => *place = Some(at),
                    None if gone == 0 => left.push(at),
                    None if is_quiet(at, gone) => free.push(at),
                    None => {}
                },
            }
        }
        free.extend(self.written..self.rows.len());
        Found { places, free, left }
    }

    fn give(
        &self,
        found: Found,
        keys: &[u64],
        generation: u64,
        clear: impl Fn(usize),
    ) -> Vec<Option<usize>> {
        let mut places = found.places;
        for at in found.left {
            self.rows[at].head().gone.store(generation.max(1), Relaxed);
        }
        let mut free = found.free.into_iter();
        let each = keys.iter().map(|key| {
            let place = places.entry(*key).or_default();
            if let Some(at) = *place {
                self.rows[at].head().gone.store(0, Relaxed);
            } else if let Some(at) = free.next() {
                RowHead::take(&self.rows[at], *key, || clear(at));
                *place = Some(at);
            }
            *place
        });
        each.collect()
    }

    /// The rows that are somebody's: number and key.
    pub fn taken(&self) -> impl Iterator<Item = (usize, u64)> + 'a {
        let rows = self.written().iter().enumerate();
        rows.map(|(at, row)| (at, row.head().key()))
            .filter(|(_, key)| *key != 0)
    }
}
