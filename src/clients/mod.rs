//! Client connections, counted over all workers: how many there are, and how many of them come from one address.
//!
//! Each worker keeps its own count and its own table of addresses in its seat's part of the region, and nobody else writes
//! there while it lives. A new connection is counted first and looked at afterwards ([`Clients::admit`]), so no lock and no
//! word that several write is needed for a bound that holds over all of them. What a dead worker had counted is wiped with its part.

mod key;
mod table;

use std::{
    net::IpAddr,
    sync::atomic::Ordering::{Relaxed, SeqCst},
};

use crate::{
    ids::SeatIndex,
    sync::{AtomicU64, fence},
};

use key::Key;
use table::Table;

/// Words of a seat's part: its connections, and the table of their addresses.
pub(crate) const SEAT_WORDS: usize = 64 * 1024;
/// Words before the seats' parts, a page of them. The first is the seed of the tables' hashes.
pub(crate) const HEAD_WORDS: usize = 512;
/// How often the worker of the first seat looks again when there is no room; those of later seats look less often.
const LOOKS: usize = 16;

/// What bounds connections; `None`: nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Most over all workers.
    pub total: Option<usize>,
    /// Most of one address.
    pub per_address: Option<usize>,
    /// Most of this worker.
    pub here: Option<usize>,
}

/// Which bound leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// That over all workers.
    Total,
    /// That of the address.
    Address,
    /// The worker's own.
    Here,
}

/// A connection that was let in, to be given back by [`Clients::leave`].
#[derive(Debug)]
#[must_use]
pub struct Admitted(Option<Key>);

/// The counts of all seats. One worker writes a seat's.
#[derive(Debug, Clone, Copy)]
pub struct Clients<'a> {
    seed: u64,
    parts: &'a [AtomicU64],
}

impl<'a> Clients<'a> {
    /// Over `words`: [`HEAD_WORDS`], then [`SEAT_WORDS`] for each seat.
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        let (head, parts) = words.split_at(HEAD_WORDS.min(words.len()));
        // Relaxed: written before any worker is there.
        let seed = head.first().map_or(0, |seed| seed.load(Relaxed));
        Self { seed, parts }
    }

    /// Counts a connection in, if no bound is reached. Only the seat's worker may call it.
    ///
    /// Of several workers that meet at the last place at most one gets it, and whoever does not leaves no trace.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn admit(
        &self,
        seat: SeatIndex,
        address: IpAddr,
        bounds: Bounds,
    ) -> Result<Admitted, Full> {
        let (count, table) = self.part(seat);
        // Relaxed, here and in `leave`: this worker alone writes the word; what others make of it is the fence's matter.
        let here = count.load(Relaxed) + 1;
        if bounds.here.is_some_and(|most| here > most as u64) {
            return Err(Full::Here);
        }
        let key = Key::of(address, self.seed);
        count.store(here, Relaxed);
        let admitted = Admitted(table.add(key).then_some(key));
        // Full: of two workers that count at once, the one whose fence comes second sees what the first one counted. So among
        // those let in there is none that did not see all the others that were before it.
        fence(SeqCst);
        let looks = LOOKS.saturating_sub(seat.get()).max(1);
        // The one they meet at the last place would be lost to both if both left at once: the later seat gives way first.
        for _ in 1..looks {
            if self.full(key, bounds).is_none() {
                return Ok(admitted);
            }
            std::hint::spin_loop();
        }
        match self.full(key, bounds) {
            None => Ok(admitted),
            Some(full) => {
                self.leave(seat, admitted);
                Err(full)
            }
        }
    }

    /// Counts a connection out. Only the seat's worker may call it.
    pub fn leave(&self, seat: SeatIndex, admitted: Admitted) {
        let (count, table) = self.part(seat);
        if let Some(key) = admitted.0 {
            table.remove(key);
        }
        // Never below zero: a ghost's connections were wiped with the seat's part.
        count.store(count.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Connections open over all workers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.filled().map(|(count, _)| count).sum()
    }

    fn full(&self, key: Key, bounds: Bounds) -> Option<Full> {
        if bounds.total.is_some_and(|most| self.total() > most as u64) {
            return Some(Full::Total);
        }
        let most = bounds.per_address? as u64;
        let of_address: u64 = self.filled().map(|(_, table)| table.count(key)).sum();
        (of_address > most).then_some(Full::Address)
    }

    /// The parts in which something is counted, with how much. The others' tables are not looked at: it would make memory of them.
    fn filled(&self) -> impl Iterator<Item = (u64, Table<'a>)> {
        let parts = self.parts.chunks_exact(SEAT_WORDS);
        parts.filter_map(|part| {
            let (count, table) = Self::split(part);
            // Relaxed: see the fence in `admit`. A worker counts before its fence, so a zero here is one of before it.
            Some((count.load(Relaxed), table)).filter(|&(count, _)| count > 0)
        })
    }

    fn part(&self, seat: SeatIndex) -> (&'a AtomicU64, Table<'a>) {
        Self::split(&self.parts[seat.get() * SEAT_WORDS..][..SEAT_WORDS])
    }

    /// The count has a line of its own: others read it at every connection.
    fn split(part: &'a [AtomicU64]) -> (&'a AtomicU64, Table<'a>) {
        let (head, table) = part.split_at(table::BUCKET);
        (&head[0], Table::new(table))
    }
}

#[cfg(test)]
mod tests;
