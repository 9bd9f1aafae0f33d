//! The pool: slots that many processes lease from, and the line of those who wait for one.
//!
//! **Truth and hints.** A slot's word (`word`) alone says who holds it; it changes by single exchanges (`slot`).
//! The `bitmap` says which slots are worth trying, the windows (`line`) who waits. Those may be behind for an
//! instant, or after a crash, and can always be mended from the words. Counts are never stored: a [`Census`] walks the words.
//!
//! **No lost wake.** Whoever makes a slot free, and whoever begins to wait, serves the line afterwards
//! ([`Pool::dispatch`]). Each does "write mine, full fence, look for the other's", so of a releaser and a joiner that
//! meet at least one sees the other. Serving is idempotent and may be done by anybody at any time.
//!
//! It knows no token: what a slot stands for lies beside it, so a pool without any is a concurrency limit. Nor does it know where
//! its words lie, or that there are other pools on the same seats.
//!
//! **Death.** Every claim and offer names the seat it is for. When a process is known to have ended, the
//! supervisor frees what names its seat, clears its window, mends the hints and serves the line (`recovery`).
//! Nothing in the region is ever waited for.

mod bitmap;
mod census;
mod dispatch;
mod line;
#[cfg(all(test, tpp_loom))]
mod loom_models;
mod pause;
mod recovery;
mod seat_line;
mod slot;
#[cfg(all(test, not(tpp_loom)))]
mod stress;
mod word;
#[cfg(test)]
mod words;

use crossbeam_utils::CachePadded;

use crate::{roster::Seat, sync::AtomicU64};

pub use crate::ids::{Epoch, Origin, SeatIndex, SlotIndex, Ticket};
pub use bitmap::Bitmap;
pub use census::{Census, SlotState};
pub use dispatch::{Bells, SeatSet};
#[cfg_attr(tpp_loom, allow(unused_imports, reason = "the models have no desk"))]
pub(crate) use line::{Collected, LineKeeper};
pub use recovery::{Reclaimed, pass_by, reclaim};
pub use seat_line::SeatLine;
pub use slot::{Claim, Released, Slot};
pub use word::{Holder, Place, SlotWord};

/// A view of one pool: where its words lie. Cheap to make and to copy; it owns nothing.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The slots that are configured.
    pub slots: &'a [Slot],
    /// Which slots are worth trying.
    pub bitmap: Bitmap<'a>,
    /// The seats, the same for all pools.
    pub seats: &'a [Seat],
    /// Each seat's part of this pool's line.
    pub lines: &'a [SeatLine],
    /// Places of the line that each seat shows.
    pub window: usize,
    /// `window` places for each seat.
    pub places: &'a [AtomicU64],
    /// In which seats somebody waits.
    pub line_seats: SeatSet<'a>,
    /// The number of the next ticket.
    pub tickets: &'a CachePadded<AtomicU64>,
}
