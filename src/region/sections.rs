//! The sections that a region and each pool in it consist of.

use crossbeam_utils::CachePadded;

use crate::{
    clients::{HEAD_WORDS, SEAT_WORDS},
    ids::{PoolId, SeatIndex, SlotIndex},
    pool::{SeatLine, Slot},
    roster::Seat,
    shared::{
        ORIGIN_BYTES, PoolLogins, PoolSeat, PoolWords, Publication, SeatCounters, TokenWords,
    },
    sync::AtomicU64,
};

use super::{
    RegionError,
    directory::{DIRECTORY_BYTES, Directory, Entry, GRAIN, Span, grain_of},
    kind::{Kind, SharedWords},
};

/// Room for the history of supervisors.
const HISTORY_BYTES: usize = 8 * 1024;
/// Longest token a pool can be made for.
const MOST_TOKEN_BYTES: usize = 64 * 1024;
/// Largest window of a pool.
const MOST_PLACES: usize = 16 * 1024;

/// How large a region is: its seats, and the pool that every region has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Slots there is room for.
    pub slots: usize,
    /// Seats there is room for.
    pub seats: usize,
    /// Longest token, bytes.
    pub token_bytes: usize,
}

/// How large a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Slots there is room for.
    pub slots: usize,
    /// Places of the line that each seat shows: how many grants its worker can be behind.
    pub window: usize,
    /// Longest token, bytes; 0: its slots hold none, it is a concurrency limit.
    pub token_bytes: usize,
}

impl PoolGeometry {
    /// A pool of tokens as long as `token_bytes`.
    #[must_use]
    pub const fn of_tokens(slots: usize, token_bytes: usize) -> Self {
        Self {
            slots,
            window: 1024,
            token_bytes,
        }
    }

    /// A concurrency limit: at most `slots` at once. Its windows are small, since permits are held for one request.
    #[must_use]
    pub const fn of_permits(slots: usize) -> Self {
        Self {
            slots,
            window: 64,
            token_bytes: 0,
        }
    }

    /// Checks the sizes asked for.
    pub(super) fn check(&self, seats: usize) -> Result<(), RegionError> {
        let bound = |what, found: usize, least: usize, most: usize| {
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(RegionError::Geometry { what, found, most })
            }
        };
        bound("slots", self.slots, 1, SlotIndex::CAPACITY)?;
        bound("seats", seats, 1, SeatIndex::CAPACITY)?;
        bound("window", self.window, 1, MOST_PLACES)?;
        bound("token_bytes", self.token_bytes, 0, MOST_TOKEN_BYTES)
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self, seats: usize) -> usize {
        bytes_of(self.sections(seats))
    }

    /// Its sections and their elements.
    fn sections(&self, seats: usize) -> Vec<(Kind, usize)> {
        let mut sections = vec![
            (Kind::PoolWords, 1),
            (Kind::Slots, self.slots),
            (Kind::Bitmap, self.slots.div_ceil(64)),
            (Kind::Lines, seats),
            (Kind::Places, seats * self.window),
            (Kind::LineSeats, seats.div_ceil(64)),
        ];
        if self.token_bytes > 0 {
            let words = Publication::words_for(self.token_bytes + ORIGIN_BYTES);
            sections.extend([
                (Kind::Tokens, self.slots),
                (Kind::TokenBytes, self.slots * words),
                (Kind::PoolSeats, seats),
                (Kind::PoolLogins, 1),
            ]);
        }
        sections
    }
}

/// Where the section of `kind` lies, whose elements are `T`.
fn span<T>(sections: &[Entry], kind: Kind) -> Result<Span<T>, RegionError> {
    optional_span(section(sections, kind))?.ok_or(RegionError::Damaged {
        what: "section of a kind that must be there",
        found: 0,
        expected: kind as u64,
    })
}

/// The same, where it may be missing: then it has no elements.
fn span_or_none<T>(sections: &[Entry], kind: Kind) -> Result<Span<T>, RegionError> {
    let span = optional_span(section(sections, kind))?;
    Ok(span.unwrap_or_else(|| Span::new(0, 0)))
}

fn section(sections: &[Entry], kind: Kind) -> Option<Entry> {
    sections
        .iter()
        .find(|entry| entry.kind == kind as u16)
        .copied()
}

pub(super) fn optional_span<T>(entry: Option<Entry>) -> Result<Option<Span<T>>, RegionError> {
    let Some(entry) = entry else { return Ok(None) };
    if entry.size as usize == size_of::<T>() {
        Ok(Some(Span::new(entry.offset, entry.count)))
    } else {
        Err(RegionError::Damaged {
            what: "element size",
            found: u64::from(entry.size),
            expected: size_of::<T>() as u64,
        })
    }
}

pub(super) fn must_be(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), RegionError> {
    if found == expected {
        Ok(())
    } else {
        Err(RegionError::Damaged {
            what,
            found: found as u64,
            expected: expected as u64,
        })
    }
}

/// Where the parts of a region lie that belong to no pool.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) shared: Span<SharedWords>,
    pub(super) seats: Span<Seat>,
    pub(super) counters: Span<SeatCounters>,
    pub(super) history: Span<AtomicU64>,
    pub(super) clients: Span<AtomicU64>,
}

impl Parts {
    fn sections(seats: usize) -> [(Kind, usize); 5] {
        [
            (Kind::Shared, 1),
            (Kind::Seats, seats),
            (Kind::Counters, seats),
            (Kind::History, Publication::words_for(HISTORY_BYTES)),
            (Kind::Clients, HEAD_WORDS + seats * SEAT_WORDS),
        ]
    }

    /// Those that `directory` names.
    pub(super) fn find(directory: Directory<'_>) -> Result<Self, RegionError> {
        let sections: Vec<_> = directory
            .entries()
            .filter(|entry| !entry.is_of_a_pool())
            .collect();
        let parts = Self {
            shared: span(&sections, Kind::Shared)?,
            seats: span(&sections, Kind::Seats)?,
            counters: span(&sections, Kind::Counters)?,
            history: span(&sections, Kind::History)?,
            clients: span(&sections, Kind::Clients)?,
        };
        must_be("shared words", parts.shared.count(), 1)?;
        must_be("counters", parts.counters.count(), parts.seats.count())?;
        let client_words = HEAD_WORDS + parts.seats.count() * SEAT_WORDS;
        must_be("client words", parts.clients.count(), client_words)?;
        if parts.history.count() < Publication::words_for(1) {
            let least = Publication::words_for(1);
            must_be("room to publish", parts.history.count(), least)?;
        }
        if parts.seats.count() > SeatIndex::CAPACITY {
            must_be("seats", parts.seats.count(), SeatIndex::CAPACITY)?;
        }
        Ok(parts)
    }
}

/// Where the parts of one pool lie: read from the directory once, then good as long as the pool is there.
#[derive(Debug, Clone, Copy)]
pub struct PoolParts {
    id: PoolId,
    key: u64,
    pub(super) words: Span<PoolWords>,
    pub(super) slots: Span<Slot>,
    pub(super) bitmap: Span<CachePadded<AtomicU64>>,
    pub(super) lines: Span<SeatLine>,
    pub(super) places: Span<AtomicU64>,
    pub(super) window: usize,
    pub(super) line_seats: Span<CachePadded<AtomicU64>>,
    pub(super) tokens: Span<TokenWords>,
    pub(super) token_bytes: Span<AtomicU64>,
    /// What is counted: of a pool with tokens alone, and not of one that an older version laid out.
    pub(super) seats: Span<PoolSeat>,
    pub(super) logins: Span<PoolLogins>,
    /// Of one token's publication.
    pub(super) token_words: usize,
}

impl PoolParts {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> PoolId {
        self.id
    }

    /// What its maker gave it to be found again by.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// How large it is.
    #[must_use]
    pub fn geometry(&self) -> PoolGeometry {
        PoolGeometry {
            slots: self.slots.count(),
            window: self.window,
            token_bytes: ((self.token_words / 2).saturating_sub(1) * size_of::<AtomicU64>())
                .saturating_sub(ORIGIN_BYTES),
        }
    }

    /// Those of pool `id`, whose `sections` they are; sizes that do not belong together are refused.
    pub(super) fn find(sections: &[Entry], id: PoolId, seats: usize) -> Result<Self, RegionError> {
        let parts = Self {
            id,
            key: section(sections, Kind::PoolWords).map_or(0, |entry| entry.key),
            words: span(sections, Kind::PoolWords)?,
            slots: span(sections, Kind::Slots)?,
            bitmap: span(sections, Kind::Bitmap)?,
            lines: span(sections, Kind::Lines)?,
            places: span(sections, Kind::Places)?,
            window: 0,
            line_seats: span(sections, Kind::LineSeats)?,
            tokens: span_or_none(sections, Kind::Tokens)?,
            token_bytes: span_or_none(sections, Kind::TokenBytes)?,
            seats: span_or_none(sections, Kind::PoolSeats)?,
            logins: span_or_none(sections, Kind::PoolLogins)?,
            token_words: 0,
        };
        let slots = parts.slots.count();
        if !(1..=SlotIndex::CAPACITY).contains(&slots) {
            must_be("slots", slots, SlotIndex::CAPACITY)?;
        }
        must_be("pool words", parts.words.count(), 1)?;
        must_be("bitmap words", parts.bitmap.count(), slots.div_ceil(64))?;
        must_be("lines", parts.lines.count(), seats)?;
        must_be("line words", parts.line_seats.count(), seats.div_ceil(64))?;
        let window = parts.places.count() / seats.max(1);
        must_be("places", parts.places.count(), seats * window.max(1))?;
        if parts.seats.count() > 0 {
            must_be("pool seats", parts.seats.count(), seats)?;
        }
        let token_words = parts.token_bytes.count() / slots;
        let with_tokens = if token_words > 0 { slots } else { 0 };
        must_be("tokens", parts.tokens.count(), with_tokens)?;
        must_be(
            "token words",
            parts.token_bytes.count(),
            slots * token_words,
        )?;
        let least = Publication::words_for(ORIGIN_BYTES);
        if !token_words.is_multiple_of(2) || (1..=least).contains(&token_words) {
            must_be("words of a token", token_words, least + 2)?;
        }
        Ok(Self {
            window,
            token_words,
            ..parts
        })
    }
}

/// Enters the sections of a region and of its first pool.
pub(super) fn lay_out(directory: Directory<'_>, geometry: Geometry) -> Option<()> {
    for (kind, count) in Parts::sections(geometry.seats) {
        directory.add(kind, PoolId::DEFAULT, count, 0)?;
    }
    lay_out_pool(
        directory,
        PoolId::DEFAULT,
        0,
        pool_of(geometry),
        geometry.seats,
    )
}

/// Enters the sections of a pool; `None`: there is no room, and nothing of it is left.
pub(super) fn lay_out_pool(
    directory: Directory<'_>,
    id: PoolId,
    key: u64,
    geometry: PoolGeometry,
    seats: usize,
) -> Option<()> {
    // The pool's own words last: a supervisor that dies half-way leaves a pool that nobody counts.
    for (kind, count) in geometry.sections(seats).into_iter().rev() {
        if directory.add(kind, id, count, key).is_none() {
            directory.remove(id);
            return None;
        }
    }
    Some(())
}

fn pool_of(geometry: Geometry) -> PoolGeometry {
    PoolGeometry::of_tokens(geometry.slots, geometry.token_bytes)
}

/// Checks the sizes asked for, and returns the bytes that they take, all told.
pub(super) fn bytes_for(geometry: Geometry) -> Result<usize, RegionError> {
    let pool = pool_of(geometry);
    if geometry.token_bytes == 0 {
        return Err(RegionError::Geometry {
            what: "token_bytes",
            found: 0,
            most: MOST_TOKEN_BYTES,
        });
    }
    pool.check(geometry.seats)?;
    Ok(DIRECTORY_BYTES
        + bytes_of(Parts::sections(geometry.seats))
        + bytes_of(pool.sections(geometry.seats)))
}

/// The most that they take, wherever each begins. Those of no pool follow one another, page after page.
pub(super) fn bytes_of(sections: impl IntoIterator<Item = (Kind, usize)>) -> usize {
    let sections = sections.into_iter();
    sections
        .map(|(kind, count)| {
            let grain = grain_of(kind as u16);
            let before = match kind {
                Kind::TokenBytes => grain - GRAIN,
                _ => 0,
            };
            (kind.size() * count).next_multiple_of(grain) + before
        })
        .sum()
}
