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
//! **Death.** Every claim and offer names the seat it is for. When a process is known to have ended, the
//! supervisor frees what names its seat, clears its window, mends the hints and serves the line (`recovery`).
//! Nothing in the region is ever waited for.

mod bitmap;
mod census;
mod counters;
#[cfg(not(tpp_loom))]
mod desk;
mod dispatch;
mod ids;
mod line;
#[cfg(all(test, tpp_loom))]
mod loom_models;
mod publication;
mod recovery;
mod seat;
#[cfg(not(tpp_loom))]
mod settings;
mod slot;
#[cfg(not(tpp_loom))]
mod stock;
#[cfg(all(test, not(tpp_loom)))]
mod stress;
mod suspects;
#[cfg(all(test, not(tpp_loom)))]
mod tests;
#[cfg(not(tpp_loom))]
mod token;
mod waits;
mod word;
#[cfg(test)]
mod words;

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

pub use bitmap::Bitmap;
pub use census::{Census, SlotState};
pub use counters::{Counter, Histogram, HistogramCounts, SeatCounters, SupervisorCounters, Totals};
#[cfg(not(tpp_loom))]
pub use desk::{Desk, GivingWay, Lease, Refreshed, Waiting};
pub use dispatch::{Bells, SeatSet};
pub use ids::{Epoch, Origin, SeatIndex, SlotIndex, Ticket};
pub use line::WINDOW;
pub use publication::{Publication, TooLong};
pub use seat::{Seat, SeatState, SeatWord};
#[cfg(not(tpp_loom))]
pub use settings::{TokenSettings, WorkerSettings};
pub use slot::{Claim, Released, Rest, Slot};
#[cfg(not(tpp_loom))]
pub use stock::{Legacy, Stock};
pub use suspects::Suspects;
#[cfg(not(tpp_loom))]
pub use token::ORIGIN_BYTES;
pub use waits::{WaitEnd, WaitsEnded, WaitsEndedCounts};
pub use word::{Holder, Place, SlotWord};

/// A view of one pool: where its words lie. Cheap to make and to copy; it owns nothing.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The slots that are configured.
    pub slots: &'a [Slot],
    /// Which slots are worth trying.
    pub bitmap: Bitmap<'a>,
    /// The seats.
    pub seats: &'a [Seat],
    /// [`WINDOW`] places for each seat.
    pub places: &'a [AtomicU64],
    /// In which seats somebody waits.
    pub line_seats: SeatSet<'a>,
    /// The number of the next ticket.
    pub tickets: &'a CachePadded<AtomicU64>,
}
