//! Names for the integers that cross process borders, so that none is taken for another.

use std::fmt;

/// Index of a slot in its pool.
use serde::{Deserialize, Serialize};

/// Index of a slot in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(u16);

/// Index of a worker's seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatIndex(u8);

/// How often a seat was filled, modulo 2^24; never 0 for a filled seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u32);

/// Where a token was drawn: a fingerprint of scheme, host and port, and of the very address where sessions are kept at
/// each by itself. A token is sent to its own origin alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin(u64);

impl Origin {
    /// Of no token.
    pub const NONE: Self = Self(0);

    /// The origin of this fingerprint.
    #[must_use]
    pub const fn new(fingerprint: u64) -> Self {
        Self(fingerprint)
    }

    /// Its fingerprint.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A place's rank in the order of arrival, over all workers; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Names a pool of a region. Given out anew only after 65,535 others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolId(u16);

impl PoolId {
    /// The pool that every region has.
    pub const DEFAULT: Self = Self(0);

    /// The pool numbered `number`.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl SlotIndex {
    /// Bits that hold a slot index in a shared word.
    pub(crate) const BITS: u32 = 14;
    /// Most slots a pool can have.
    pub const CAPACITY: usize = 1 << Self::BITS;

    /// The slot at `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Self::CAPACITY`]; the configuration's bound on sessions and the region's
    /// own check of its geometry see to that.
    #[must_use]
    pub fn new(index: usize) -> Self {
        assert!(
            index < Self::CAPACITY,
            "slot index within the pool's capacity"
        );
        Self(u16::try_from(index).expect("capacity fits 16 bits"))
    }

    /// As an index into a slice.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl SeatIndex {
    /// Bits that hold a seat index in a shared word.
    pub(crate) const BITS: u32 = 8;
    /// Most seats a region can have.
    pub const CAPACITY: usize = 1 << Self::BITS;

    /// The seat at `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Self::CAPACITY`].
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u8::try_from(index).expect("seat index within the region's capacity"))
    }

    /// As an index into a slice.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Epoch {
    /// Bits that hold an epoch in a shared word.
    pub(crate) const BITS: u32 = 24;

    /// The epoch `count`, modulo 2^24.
    #[must_use]
    pub fn new(count: u64) -> Self {
        Self(u32::try_from(count & mask(Self::BITS)).expect("masked to 24 bits"))
    }

    /// The one after this; 0 is left out.
    #[must_use]
    pub fn next(self) -> Self {
        let next = Self::new(u64::from(self.0) + 1);
        if next.0 == 0 { Self(1) } else { next }
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }
}

impl Ticket {
    /// Bits that hold a ticket in a shared word: at a million arrivals a second they last nine years, and
    /// only the order of those who wait at one moment is ever compared.
    pub(crate) const BITS: u32 = 48;

    /// The ticket drawn as number `count`.
    #[must_use]
    pub(crate) fn new(count: u64) -> Self {
        Self(count & mask(Self::BITS))
    }

    /// As a number.
    #[must_use]
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// The low `bits` bits.
pub(crate) const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SeatIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
