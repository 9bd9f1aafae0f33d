//! A worker's seat: who sits there, and in what state.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::{
    ids::{Epoch, mask},
    sync::AtomicU64,
};

/// What the worker of a seat is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// Nobody sits here.
    Vacant,
    /// The process was started and is not ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It accepts nothing new and finishes what is open.
    Draining,
    /// The process has ended; what it held is being taken back.
    Dead,
}

/// A seat's state word: `kind 3 | stalled 1 | epoch 24 | pid 32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatWord {
    /// What the worker is doing.
    pub state: SeatState,
    /// Its heartbeat stands still: the line passes it by until it beats again.
    pub stalled: bool,
    /// Which filling of the seat.
    pub epoch: Epoch,
    /// Process id; 0 until it is known. For people and for a supervisor that takes over, never for `kill`.
    pub pid: u32,
}

const STALLED: u64 = 1 << 60;
const STATE_SHIFT: u32 = 61;
const EPOCH_SHIFT: u32 = 32;

impl SeatWord {
    fn pack(self) -> u64 {
        let state = match self.state {
            SeatState::Vacant => 0,
            SeatState::Starting => 1,
            SeatState::Ready => 2,
            SeatState::Draining => 3,
            SeatState::Dead => 4,
        };
        state << STATE_SHIFT
            | if self.stalled { STALLED } else { 0 }
            | self.epoch.get() << EPOCH_SHIFT
            | u64::from(self.pid)
    }

    fn unpack(word: u64) -> Self {
        Self {
            state: match word >> STATE_SHIFT {
                0 => SeatState::Vacant,
                1 => SeatState::Starting,
                2 => SeatState::Ready,
                3 => SeatState::Draining,
                // A value that nothing writes is treated as a death: nothing is given to it.
                _ => SeatState::Dead,
            },
            stalled: word & STALLED != 0,
            epoch: Epoch::new(word >> EPOCH_SHIFT),
            pid: u32::try_from(word & mask(32)).expect("masked to 32 bits"),
        }
    }

    /// Whether slots may be offered to those who wait here.
    #[must_use]
    pub fn takes_offers(self) -> bool {
        !self.stalled
            && matches!(
                self.state,
                SeatState::Starting | SeatState::Ready | SeatState::Draining
            )
    }

    /// Whether a process sits here.
    #[must_use]
    pub fn is_filled(self) -> bool {
        matches!(
            self.state,
            SeatState::Starting | SeatState::Ready | SeatState::Draining
        )
    }
}

/// A seat as it lies in the region.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Seat {
    /// [`SeatWord`]. The supervisor fills, marks and vacates; the worker says ready, draining, "no longer stalled".
    word: AtomicU64,
    /// Milliseconds of the monotonic clock at the worker's last heartbeat.
    heartbeat: AtomicU64,
    /// What the worker was given at its start and keeps: see [`Self::launch`].
    launch: AtomicU64,
    /// When the seat was filled, milliseconds of the monotonic clock.
    filled_at: AtomicU64,
    /// How often the worker was told to look at its leases. Only the supervisor writes it.
    summons: AtomicU64,
    /// The newest plan by which the worker acts; 0: none. Only its worker writes it.
    plan: AtomicU64,
    reserved: [AtomicU64; 10],
}

impl Seat {
    /// A vacant seat. What zeroed memory reads as.
    #[must_use]
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            heartbeat: AtomicU64::new(0),
            launch: AtomicU64::new(0),
            filled_at: AtomicU64::new(0),
            summons: AtomicU64::new(0),
            plan: AtomicU64::new(0),
            reserved: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The state word now.
    #[must_use]
    pub fn word(&self) -> SeatWord {
        // Acquire, pairs with Release in `set_word`: who sees a new epoch sees the seat made clean for it.
        SeatWord::unpack(self.word.load(Acquire))
    }

    /// Fills, marks or vacates the seat; the supervisor's move while no process sits there.
    pub(crate) fn set_word(&self, word: SeatWord) {
        // Release: see `word`.
        self.word.store(word.pack(), Release);
    }

    /// Changes the word as `change` says; `None` leaves it. Returns whether it was changed.
    pub(crate) fn update_word(&self, mut change: impl FnMut(SeatWord) -> Option<SeatWord>) -> bool {
        // Relaxed: all that is passed on lies in the word, and a read-modify-write builds on its newest value and passes
        // on what `set_word` released. Who goes on to serve the line has the fence there.
        self.word
            .fetch_update(Relaxed, Relaxed, |bits| {
                change(SeatWord::unpack(bits)).map(SeatWord::pack)
            })
            .is_ok()
    }

    /// Records a heartbeat at `now` milliseconds. Returns whether the seat had been marked as stalled.
    #[must_use]
    pub(crate) fn beat(&self, now: u64) -> bool {
        // Relaxed: a number on its own.
        self.heartbeat.store(now, Relaxed);
        // Relaxed peek; the exchange below decides.
        SeatWord::unpack(self.word.load(Relaxed)).stalled
            && self.update_word(|word| {
                word.stalled.then_some(SeatWord {
                    stalled: false,
                    ..word
                })
            })
    }

    /// Milliseconds of the monotonic clock at the last heartbeat.
    #[must_use]
    pub fn heartbeat(&self) -> u64 {
        // Relaxed: a number on its own.
        self.heartbeat.load(Relaxed)
    }

    /// A fingerprint of what the worker was given at its start and cannot change: its executable, its listening sockets.
    #[must_use]
    pub fn launch(&self) -> u64 {
        // Relaxed: written before the process that it describes is started, and read by supervisors alone.
        self.launch.load(Relaxed)
    }

    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn note_launch(&self, fingerprint: u64, now: u64) {
        // Relaxed: see `launch`.
        self.launch.store(fingerprint, Relaxed);
        self.filled_at.store(now, Relaxed);
        self.plan.store(0, Relaxed);
    }

    /// Tells the worker to look at its leases: one is to end, or a deadline has moved. Its bell must ring afterwards.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn summon(&self) {
        // Relaxed load: one writer. Release, pairs with Acquire in `summons`: who sees it sees what it is about.
        self.summons
            .store(self.summons.load(Relaxed).wrapping_add(1), Release);
    }

    /// How often the worker was told to look at its leases.
    #[must_use]
    pub fn summons(&self) -> u64 {
        // Acquire: see `summon`.
        self.summons.load(Acquire)
    }

    /// The newest plan by which the worker acts; 0: none.
    #[must_use]
    pub fn plan(&self) -> u64 {
        // Acquire, pairs with Release below: whoever sees that a worker goes by a plan sees it done with the one before.
        self.plan.load(Acquire)
    }

    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no stock"))]
    pub(crate) fn show_plan(&self, generation: u64) {
        self.plan.store(generation, Release);
    }

    /// When the seat was filled, milliseconds of the monotonic clock.
    #[must_use]
    pub fn filled_at(&self) -> u64 {
        // Relaxed: see `launch`.
        self.filled_at.load(Relaxed)
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self::new()
    }
}
