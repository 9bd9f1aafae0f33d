//! The kinds of sections there are.

use crossbeam_utils::CachePadded;

use crate::{
    limits::{BackendRow, GroupRow, HostRow, PairRow},
    pool::{SeatLine, Slot},
    roster::Seat,
    shared::{
        BackendSeat, HostSeat, PairSeat, PoolLogins, PoolSeat, PoolWords, SeatCounters,
        SupervisorCounters, TokenWords,
    },
    spans::SpanRing,
    sync::AtomicU64,
};

/// Words that belong to the region as a whole.
#[repr(C)]
#[derive(Debug)]
pub(super) struct SharedWords {
    pub(super) plan_generation: AtomicU64,
    pub(super) history_version: AtomicU64,
    /// The number of the pool created last.
    pub(super) last_pool: AtomicU64,
    reserved: [AtomicU64; 12],
    pub(super) unreachable_reports: CachePadded<AtomicU64>,
    pub(super) supervisors: SupervisorCounters,
}

/// What a section consists of. The numbers stand in the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Shared = 1,
    Seats = 2,
    Counters = 3,
    History = 4,
    Clients = 5,
    Hosts = 6,
    HostSeats = 7,
    Backends = 8,
    BackendSeats = 9,
    Pairs = 10,
    PairSeats = 11,
    Groups = 12,
    Rates = 13,
    SpanRings = 14,
    PoolWords = 0x100,
    Slots = 0x101,
    Bitmap = 0x102,
    Lines = 0x103,
    Places = 0x104,
    LineSeats = 0x105,
    Tokens = 0x106,
    TokenBytes = 0x107,
    PoolSeats = 0x108,
    PoolLogins = 0x109,
    HostMemory = 0x10a,
}

impl Kind {
    /// From here on a section is a pool's.
    pub(super) const OF_POOLS: u16 = 0x100;

    /// Bytes of an element.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Shared => size_of::<SharedWords>(),
            Self::Seats => size_of::<Seat>(),
            Self::Counters => size_of::<SeatCounters>(),
            Self::PoolWords => size_of::<PoolWords>(),
            Self::Slots => size_of::<Slot>(),
            Self::Bitmap | Self::LineSeats => size_of::<CachePadded<AtomicU64>>(),
            Self::Lines => size_of::<SeatLine>(),
            Self::Tokens => size_of::<TokenWords>(),
            Self::PoolSeats => size_of::<PoolSeat>(),
            Self::PoolLogins => size_of::<PoolLogins>(),
            Self::Hosts => size_of::<HostRow>(),
            Self::HostSeats => size_of::<HostSeat>(),
            Self::Backends => size_of::<BackendRow>(),
            Self::BackendSeats => size_of::<BackendSeat>(),
            Self::Pairs => size_of::<PairRow>(),
            Self::PairSeats => size_of::<PairSeat>(),
            Self::Groups => size_of::<GroupRow>(),
            Self::SpanRings => size_of::<SpanRing>(),
            Self::History
            | Self::Clients
            | Self::Places
            | Self::TokenBytes
            | Self::Rates
            | Self::HostMemory => size_of::<AtomicU64>(),
        }
    }
}
