//! What lies where in the region: pure arithmetic over the geometry, the same in every process.

use std::{
    marker::PhantomData,
    sync::atomic::Ordering::{Acquire, Release},
};

use crossbeam_utils::CachePadded;

use crate::{
    clients::{HEAD_WORDS, SEAT_WORDS},
    pool::{
        ORIGIN_BYTES, Publication, Seat, SeatCounters, SeatIndex, Slot, SlotIndex,
        SupervisorCounters, WINDOW,
    },
    sync::AtomicU64,
};

use super::RegionError;

/// Begins every region: "tppregn" and a byte that no text file has there.
const MAGIC: u64 = u64::from_be_bytes(*b"\x89tppregn");
/// Raised whenever a word changes its meaning or its place.
pub const LAYOUT_VERSION: u64 = 4;
/// Bytes at the head of the region that hold [`Layout::header`].
pub(super) const HEADER_BYTES: usize = 4096;
/// Sections begin on pages, so that what is never touched is never there.
const PAGE: usize = 4096;
/// Room for the history of supervisors.
const HISTORY_BYTES: usize = 8 * 1024;
/// Longest token a region can be made for.
const MOST_TOKEN_BYTES: usize = 64 * 1024;

/// How large a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Slots there is room for.
    pub slots: usize,
    /// Seats there is room for.
    pub seats: usize,
    /// Longest token, bytes.
    pub token_bytes: usize,
}

/// The parts of a region, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Shared,
    LineSeats,
    Bitmap,
    Slots,
    Seats,
    Counters,
    Places,
    Tokens,
    History,
    Clients,
}

const SECTIONS: usize = 10;

/// A section's place: `count` elements of `T`, `offset` bytes from the region's begin.
#[derive(Debug)]
pub(super) struct Span<T> {
    offset: usize,
    count: usize,
    of: PhantomData<T>,
}

impl<T> Span<T> {
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// Words that belong to the region as a whole.
#[repr(C)]
#[derive(Debug)]
pub(super) struct SharedWords {
    pub(super) tickets: CachePadded<AtomicU64>,
    slots_used: AtomicU64,
    pub(super) plan_generation: AtomicU64,
    pub(super) unreachable_reports: AtomicU64,
    pub(super) history_version: AtomicU64,
    pub(super) supervisors: SupervisorCounters,
}

impl SharedWords {
    pub(super) fn slots_used(&self) -> usize {
        // Acquire, pairs with Release below: a slot that is counted has been made ready. No model sees it, since no
        // mapping can lie under loom; a slot that is not ready is zeros, which nobody can lease, so weaker would do.
        self.slots_used.load(Acquire) as usize
    }

    pub(super) fn set_slots_used(&self, slots: usize) {
        self.slots_used.store(slots as u64, Release);
    }
}

/// Where each section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    geometry: Geometry,
    offsets: [usize; SECTIONS],
    bytes: usize,
}

impl Layout {
    pub(super) fn of(geometry: Geometry) -> Result<Self, RegionError> {
        let bound = |what, found: usize, most: usize| {
            if (1..=most).contains(&found) {
                Ok(())
            } else {
                Err(RegionError::Geometry { what, found, most })
            }
        };
        bound("slots", geometry.slots, SlotIndex::CAPACITY)?;
        bound("seats", geometry.seats, SeatIndex::CAPACITY)?;
        bound("token_bytes", geometry.token_bytes, MOST_TOKEN_BYTES)?;
        let mut at = HEADER_BYTES;
        let offsets = Self::sizes(geometry).map(|bytes| {
            let offset = at;
            at += bytes.next_multiple_of(PAGE);
            offset
        });
        Ok(Self {
            geometry,
            offsets,
            bytes: at,
        })
    }

    /// Elements of a section, and their size.
    fn elements(geometry: Geometry, section: Section) -> (usize, usize) {
        let word = size_of::<AtomicU64>();
        let padded_word = size_of::<CachePadded<AtomicU64>>();
        match section {
            Section::Shared => (1, size_of::<SharedWords>()),
            Section::LineSeats => (geometry.seats.div_ceil(64), padded_word),
            Section::Bitmap => (geometry.slots.div_ceil(64), padded_word),
            Section::Slots => (geometry.slots, size_of::<Slot>()),
            Section::Seats => (geometry.seats, size_of::<Seat>()),
            Section::Counters => (geometry.seats, size_of::<SeatCounters>()),
            Section::Places => (geometry.seats * WINDOW, word),
            Section::Tokens => (
                geometry.slots * Publication::words_for(geometry.token_bytes + ORIGIN_BYTES),
                word,
            ),
            Section::History => (Publication::words_for(HISTORY_BYTES), word),
            Section::Clients => (HEAD_WORDS + geometry.seats * SEAT_WORDS, word),
        }
    }

    fn sizes(geometry: Geometry) -> [usize; SECTIONS] {
        use Section::*;
        [
            Shared, LineSeats, Bitmap, Slots, Seats, Counters, Places, Tokens, History, Clients,
        ]
        .map(|section| {
            let (count, size) = Self::elements(geometry, section);
            count * size
        })
    }

    pub(super) fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where `section` lies, whose elements are `T`.
    ///
    /// # Panics
    /// If they are not: the caller named the wrong type.
    pub(super) fn section<T>(&self, section: Section) -> Span<T> {
        let (count, size) = Self::elements(self.geometry, section);
        assert_eq!(size, size_of::<T>(), "element type of section {section:?}");
        Span {
            offset: self.offsets[section as usize],
            count,
            of: PhantomData,
        }
    }

    /// The header, as it stands at the region's begin: magic, version, geometry, sizes, section table.
    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let words = [MAGIC, LAYOUT_VERSION]
            .into_iter()
            .chain(self.fields().map(|(_, value)| value));
        for (chunk, word) in header.chunks_exact_mut(size_of::<u64>()).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        header
    }

    /// Reads a header that may be anything.
    pub(super) fn read(header: &[u8; HEADER_BYTES]) -> Result<Self, RegionError> {
        let word = |at: usize| {
            let bytes = header[at * 8..][..8]
                .try_into()
                .expect("a slice of eight bytes");
            u64::from_le_bytes(bytes)
        };
        if word(0) != MAGIC {
            return Err(RegionError::Magic { found: word(0) });
        }
        if word(1) != LAYOUT_VERSION {
            return Err(RegionError::Version { found: word(1) });
        }
        // A number too large for `usize` is out of bounds as well.
        let number = |at| usize::try_from(word(at)).unwrap_or(usize::MAX);
        let geometry = Geometry {
            slots: number(2),
            seats: number(3),
            token_bytes: number(4),
        };
        let layout = Self::of(geometry)?;
        for (at, (what, expected)) in layout.fields().enumerate() {
            let found = word(2 + at);
            if found != expected {
                return Err(RegionError::Damaged {
                    what,
                    found,
                    expected,
                });
            }
        }
        Ok(layout)
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("slots", self.geometry.slots),
            ("seats", self.geometry.seats),
            ("token_bytes", self.geometry.token_bytes),
            ("slot size", size_of::<Slot>()),
            ("seat size", size_of::<Seat>()),
            ("counters size", size_of::<SeatCounters>()),
            ("window", WINDOW),
            ("bytes", self.bytes),
        ]
        .into_iter()
        .chain(self.offsets.map(|offset| ("section offset", offset)))
        .map(|(what, value)| (what, value as u64))
    }
}
