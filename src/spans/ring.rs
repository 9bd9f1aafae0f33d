//! A seat's ring of spans: its worker writes, the supervisor reads, and neither waits for the other.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use super::record::{Record, WORDS};
use crate::{shared::Counter, sync::AtomicU64};

/// Records in a ring; in the models few enough that the writer comes round.
const RECORDS: usize = if cfg!(tpp_loom) { 2 } else { 2048 };

/// A seat's ring. Memory of records that were never written is not there.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct SpanRing {
    /// Records written, ever; the worker's.
    written: CachePadded<AtomicU64>,
    /// Of these read, or passed by; the supervisor's.
    read: CachePadded<AtomicU64>,
    /// Spans for which there was no room; the worker's.
    dropped: Counter,
    records: [[AtomicU64; WORDS]; RECORDS],
}

impl SpanRing {
    /// Adds a record, unless there is no room. Only the seat's worker may call it, from one thread.
    pub fn push(&self, record: &Record) {
        // Relaxed: only this process writes it.
        let written = self.written.load(Relaxed);
        // Acquire, pairs with Release in `take`: what is written over has been read.
        let waiting = written.wrapping_sub(self.read.load(Acquire));
        if waiting >= RECORDS as u64 {
            self.dropped.add(1);
            return;
        }
        record.store(self.at(written));
        // Release, pairs with Acquire in `take`: who sees the number sees the record. A worker killed before has written none.
        self.written.store(written.wrapping_add(1), Release);
    }

    /// Takes what has been written, `most` records at a time. Only the supervisor in charge may call it.
    pub fn take(&self, most: usize) -> Vec<Record> {
        // Acquire: see `push`.
        let written = self.written.load(Acquire);
        // Relaxed: only this process writes it.
        let read = self.read.load(Relaxed);
        let waiting = written.wrapping_sub(read);
        if waiting > RECORDS as u64 {
            // No order of writes and reads leads here: the words are damaged, and begin anew. Relaxed: nothing was read.
            self.read.store(written, Relaxed);
            return Vec::new();
        }
        let count = waiting.min(most as u64);
        let records = (0..count).map(|nth| Record::load(self.at(read.wrapping_add(nth))));
        let records = records.collect();
        // Release: see `push`.
        self.read.store(read.wrapping_add(count), Release);
        records
    }

    /// Spans for which there was no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// A ring in which nothing was written yet, for tests.
    #[cfg(test)]
    pub(super) fn empty() -> Box<Self> {
        use std::{array::from_fn, thread};
        let empty = || {
            Box::new(Self {
                written: CachePadded::default(),
                read: CachePadded::default(),
                dropped: Counter::default(),
                records: from_fn(|_| from_fn(|_| AtomicU64::new(0))),
            })
        };
        if cfg!(tpp_loom) {
            // A model's atomics are made on its own threads.
            return empty();
        }
        // Unoptimized it comes about on a stack, more than once.
        let thread = thread::Builder::new().stack_size(32 << 20).spawn(empty);
        thread.unwrap().join().unwrap()
    }

    /// A record in which each word says which one it is, for tests.
    #[cfg(test)]
    pub(super) fn numbered(id: u64) -> Record {
        use super::{Span, SpanKind, Version};
        Record::of(&Span {
            kind: SpanKind::Server,
            trace: u128::from(id),
            id,
            parent: id,
            began: id,
            lasted: id,
            status: 200,
            port: 0,
            resends: 0,
            is_tls: false,
            version: Version::Http11,
            method: b"",
            error: b"",
            name: b"",
            host: b"",
            client: b"",
            path: b"",
        })
    }

    fn at(&self, number: u64) -> &[AtomicU64; WORDS] {
        // Below `RECORDS`.
        &self.records[(number % RECORDS as u64) as usize]
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use std::thread;

    use super::*;

    fn ids(records: &[Record]) -> Vec<u64> {
        let spans = records.iter().map(|one| one.span().expect("a span"));
        spans.map(|span| span.id).collect()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_rest_comes_in_order() {
        let ring = SpanRing::empty();
        let room = RECORDS as u64;
        for id in 1..=room + 7 {
            ring.push(&SpanRing::numbered(id));
        }
        assert_eq!(ring.dropped(), 7);
        assert_eq!(ids(&ring.take(10)), (1..=10).collect::<Vec<_>>());
        ring.push(&SpanRing::numbered(5000));
        let rest = ids(&ring.take(usize::MAX));
        assert_eq!(rest.len() as u64, room - 10 + 1);
        assert_eq!((rest[0], rest.last()), (11, Some(&5000)));
        assert!(ring.take(usize::MAX).is_empty());
        assert_eq!(ring.dropped(), 7);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_each_record_whole_and_in_order() {
        let ring = SpanRing::empty();
        let most: u64 = if cfg!(miri) { 300 } else { 50_000 };
        let mut seen = 0;
        thread::scope(|scope| {
            let writer =
                scope.spawn(|| (1..=most).for_each(|id| ring.push(&SpanRing::numbered(id))));
            let mut last = 0;
            loop {
                let is_over = writer.is_finished();
                for record in ring.take(100) {
                    let span = record.span().expect("a whole span");
                    assert!(span.id > last);
                    last = span.id;
                    assert_eq!((span.lasted, span.trace), (last, u128::from(last)));
                    seen += 1;
                }
                if is_over && ring.written.load(Relaxed) == ring.read.load(Relaxed) {
                    break;
                }
            }
        });
        assert_eq!(seen + ring.dropped(), most);
    }

    #[test]
    fn damaged_numbers_lead_nowhere_and_are_mended() {
        let ring = SpanRing::empty();
        ring.push(&SpanRing::numbered(1));
        ring.read.store(77, Relaxed);
        assert!(ring.take(usize::MAX).is_empty());
        ring.push(&SpanRing::numbered(2));
        assert_eq!(ids(&ring.take(usize::MAX)), [2]);
    }
}
