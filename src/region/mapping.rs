//! From bytes of a mapping to typed words. One of the two places in tpp with `unsafe` code.
#![expect(
    unsafe_code,
    reason = "turns mapped bytes into references; each block says why it may"
)]

use std::{alloc::Layout, fs::File, io};

use crossbeam_utils::CachePadded;
use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::{
    limits::{BackendRow, GroupRow, HostRow, PairRow},
    pool::{SeatLine, Slot},
    roster::Seat,
    shared::{
        BackendSeat, HostSeat, PairSeat, PoolLogins, PoolSeat, PoolWords, SeatCounters, TokenWords,
    },
    spans::SpanRing,
    sync::AtomicU64,
};

use super::{directory::Span, kind::SharedWords};

/// Types that may lie in memory that other processes write.
///
/// # Safety
/// An implementor is `repr(C)` or `repr(transparent)` over atomic integers and padding only: every bit pattern is a value, no
/// field is ever accessed but atomically, and it holds no pointer, descriptor, `usize`, `bool` or enum.
pub(super) unsafe trait Shared {}

// SAFETY: one atomic integer.
unsafe impl Shared for AtomicU64 {}
// SAFETY: one atomic integer and padding.
unsafe impl Shared for CachePadded<AtomicU64> {}
// SAFETY: `repr(C)`, atomic integers, counters (`repr(transparent)` over one) and padding.
unsafe impl Shared for SharedWords {}
// SAFETY: `repr(C)`, atomic integers and padding.
unsafe impl Shared for Slot {}
// SAFETY: `repr(C)`, atomic integers and padding.
unsafe impl Shared for SeatLine {}
// SAFETY: `repr(C)`, atomic integers and padding.
unsafe impl Shared for TokenWords {}
// SAFETY: `repr(C)`, a padded atomic integer and `Terms`, which is `repr(C)`, atomic integers and padding.
unsafe impl Shared for PoolWords {}
// SAFETY: `repr(C)`, counters (`repr(transparent)` over an atomic integer) and padding.
unsafe impl Shared for PoolSeat {}
// SAFETY: `repr(C)`, an atomic integer, counters (`repr(transparent)` over one), `Latency`, which is `repr(C)` over counters; padding.
unsafe impl Shared for PoolLogins {}
// SAFETY: `repr(C)`, atomic integers and padding.
unsafe impl Shared for Seat {}
// SAFETY: `repr(C)`, counters (`repr(transparent)` over an atomic integer), histograms (`repr(C)` over counters) and padding.
unsafe impl Shared for SeatCounters {}
// SAFETY: `repr(C)`, a head that is `repr(C)` over atomic integers, atomic integers and padding.
unsafe impl Shared for HostRow {}
// SAFETY: `repr(C)`, a head that is `repr(C)` over atomic integers, atomic integers and padding.
unsafe impl Shared for BackendRow {}
// SAFETY: `repr(C)`, a head that is `repr(C)` over atomic integers, atomic integers and padding.
unsafe impl Shared for PairRow {}
// SAFETY: `repr(C)`, a head that is `repr(C)` over atomic integers, atomic integers and padding.
unsafe impl Shared for GroupRow {}
// SAFETY: `repr(C)`, gauges and counters (`repr(transparent)` over an atomic integer), an atomic integer, and `Latency`, which is
// `repr(C)` over counters; padding.
unsafe impl Shared for HostSeat {}
// SAFETY: `repr(C)`, a gauge and counters (`repr(transparent)` over an atomic integer).
unsafe impl Shared for BackendSeat {}
// SAFETY: `repr(C)`, a gauge (`repr(transparent)` over an atomic integer), an atomic integer, and `Latency`, which is `repr(C)` over
// counters.
unsafe impl Shared for PairSeat {}
// SAFETY: `repr(C)`, padded atomic integers, a counter (`repr(transparent)` over one), arrays of atomic integers, padding.
unsafe impl Shared for SpanRing {}

/// A shared, writable mapping of a whole memory file.
#[derive(Debug)]
pub(super) struct Mapping(MmapRaw);

impl Mapping {
    /// Maps the first `bytes` bytes of `file`, which must be sealed against shrinking, and keeps them out of core
    /// dumps.
    pub(super) fn of(file: &File, bytes: usize) -> io::Result<Self> {
        let raw = MmapOptions::new().len(bytes).map_raw(file)?;
        raw.advise(Advice::DontDump)?;
        Ok(Self(raw))
    }

    /// The elements of a section.
    ///
    /// # Panics
    /// If the section does not lie within the mapping or is not aligned for `T`.
    pub(super) fn section<T: Shared>(&self, span: Span<T>) -> &[T] {
        let start = self.place(span.offset(), span.count(), Layout::new::<T>());
        // SAFETY: `start` is aligned and `count` elements lie within the mapping (asserted by `place`), which lives as
        // long as `&self` and cannot shrink (sealed: access never faults). `T: Shared` allows any bit pattern and concurrent atomic
        // writes by other processes; nothing in this process makes a `&mut` to it or writes it otherwise.
        unsafe { std::slice::from_raw_parts(start.cast(), span.count()) }
    }

    /// Where `count` elements of this layout begin, `offset` bytes from the mapping's begin; all of them lie within it.
    // Once, not in each place that asks for a section: a request asks for several, and meets its code cold.
    #[inline(never)]
    fn place(&self, offset: usize, count: usize, element: Layout) -> *const u8 {
        let bytes = count.checked_mul(element.size());
        let end = bytes.and_then(|bytes| offset.checked_add(bytes));
        assert!(
            end.is_some_and(|end| end <= self.0.len()),
            "part within the mapping"
        );
        // SAFETY: offset <= end <= length of the mapping, asserted above: the result lies in the same allocation.
        let start = unsafe { self.0.as_ptr().add(offset) };
        assert!(
            start.addr().is_multiple_of(element.align()),
            "part aligned for its elements"
        );
        start
    }

    /// Locks the pages of a part as they are touched.
    pub(super) fn lock(&self, offset: usize, bytes: usize) -> io::Result<()> {
        let start = self.place(offset, bytes, Layout::new::<u8>());
        // SAFETY: the range lies within our own mapping, asserted by `place`; locking changes no contents.
        let result = unsafe { nix::libc::mlock2(start.cast(), bytes, nix::libc::MLOCK_ONFAULT) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
