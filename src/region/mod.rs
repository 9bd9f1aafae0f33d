//! The region: one shared mapping that holds a pool, and what supervisor and workers tell each other.
//!
//! It is an anonymous memory file, sealed against resizing, without a path. The supervisor creates it; a worker
//! inherits its descriptor and maps the same pages. The header says what lies where; a process that would
//! lay it out differently refuses it.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod layout;
mod mapping;
mod seat_lock;

use std::{
    ffi::CStr,
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileExt,
    sync::atomic::Ordering::Relaxed,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::{
    clients::{Clients, HEAD_WORDS, SEAT_WORDS},
    pool::{
        Bitmap, ORIGIN_BYTES, Pool, Publication, SeatCounters, SeatIndex, SeatSet, SlotIndex,
        SupervisorCounters, Suspects,
    },
    sync::AtomicU64,
};

pub use layout::{Geometry, LAYOUT_VERSION};
use layout::{HEADER_BYTES, Layout, Section, SharedWords};
use mapping::Mapping;
pub use seat_lock::SeatLock;

/// Why a region cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The system would not give the memory.
    #[error("create a memory file of {bytes} bytes")]
    Create {
        /// Its length.
        bytes: usize,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read or mapped.
    #[error("map the region")]
    Map(#[source] io::Error),
    /// It is no region.
    #[error("not a tpp region: it begins with {found:#018x}")]
    Magic {
        /// The first eight bytes.
        found: u64,
    },
    /// It was made by another version of tpp.
    #[error("region of layout {found}, this is layout {LAYOUT_VERSION}")]
    Version {
        /// Its layout.
        found: u64,
    },
    /// Its file could shrink under the mapping, and an access to it fault.
    #[error("the region's memory is not sealed against resizing")]
    Unsealed,
    /// The header contradicts itself or the file's length.
    #[error("damaged region header: {what} is {found}, expected {expected}")]
    Damaged {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What the rest of the header or the file demands.
        expected: u64,
    },
    /// The geometry asked for is beyond what the words can hold.
    #[error("{what}: {found} is out of 1..={most}")]
    Geometry {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The most there can be.
        most: usize,
    },
}

/// A mapped region. Dropping it unmaps; the memory lives until the last process has.
#[derive(Debug)]
pub struct Region {
    file: File,
    layout: Layout,
    mapping: Mapping,
}

impl Region {
    /// Creates a region, all empty.
    ///
    /// # Errors
    /// If the geometry is out of bounds or the system refuses the memory.
    pub fn create(geometry: Geometry) -> Result<Self, RegionError> {
        let layout = Layout::of(geometry)?;
        let file = memory_file(layout.bytes())
            .and_then(|file| {
                file.write_all_at(&layout.header(), 0)?;
                Ok(file)
            })
            .map_err(|source| RegionError::Create {
                bytes: layout.bytes(),
                source,
            })?;
        let region = Self::map(file, layout)?;
        // Where a client lies in the tables is nothing that it can know. The standard library's hashers are the nearest dice.
        let seed = RandomState::new().hash_one(std::process::id());
        region.client_words()[0].store(seed, Relaxed);
        Ok(region)
    }

    /// Maps a region that another process created.
    ///
    /// # Errors
    /// If it is not a region of this layout. Nothing of it is trusted before that is known.
    pub fn open(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let file = File::from(descriptor);
        let sealed = fcntl(&file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
        if !sealed.is_ok_and(|seals| seals.contains(SEALS)) {
            return Err(RegionError::Unsealed);
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)
            .map_err(RegionError::Map)?;
        let layout = Layout::read(&header)?;
        let length = file.metadata().map_err(RegionError::Map)?.len();
        if length != layout.bytes() as u64 {
            return Err(RegionError::Damaged {
                what: "length",
                found: length,
                expected: layout.bytes() as u64,
            });
        }
        Self::map(file, layout)
    }

    fn map(file: File, layout: Layout) -> Result<Self, RegionError> {
        let mapping = Mapping::of(&file, layout.bytes()).map_err(RegionError::Map)?;
        Ok(Self {
            file,
            layout,
            mapping,
        })
    }

    /// Its size.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.layout.geometry()
    }

    fn shared(&self) -> &SharedWords {
        &self.mapping.section(self.layout.section(Section::Shared))[0]
    }

    /// The pool in it, as far as it is configured.
    #[must_use]
    pub fn pool(&self) -> Pool<'_> {
        let shared = self.shared();
        let slots = self.mapping.section(self.layout.section(Section::Slots));
        Pool {
            slots: &slots[..shared.slots_used().min(slots.len())],
            bitmap: Bitmap::new(self.mapping.section(self.layout.section(Section::Bitmap))),
            seats: self.mapping.section(self.layout.section(Section::Seats)),
            places: self.mapping.section(self.layout.section(Section::Places)),
            line_seats: SeatSet::new(
                self.mapping
                    .section(self.layout.section(Section::LineSeats)),
            ),
            tickets: &shared.tickets,
        }
    }

    /// Slots that are or were configured.
    #[must_use]
    pub fn slots_used(&self) -> usize {
        self.shared().slots_used().min(self.geometry().slots)
    }

    /// Says how many slots are configured. Slots are only ever added; one that is no longer configured stays,
    /// empty.
    pub fn set_slots_used(&self, slots: usize) {
        self.shared().set_slots_used(slots);
    }

    /// The token of `slot`, with its origin.
    #[must_use]
    pub fn token(&self, slot: SlotIndex) -> Publication<'_> {
        let words = Publication::words_for(self.geometry().token_bytes + ORIGIN_BYTES);
        let all: &[AtomicU64] = self.mapping.section(self.layout.section(Section::Tokens));
        let at = slot.get() * words;
        Publication::new(
            &self.pool().slots[slot.get()].token_version,
            &all[at..at + words],
        )
    }

    /// Generation of the plan in force; 0: none was ever.
    #[must_use]
    pub fn plan_generation(&self) -> u64 {
        // Relaxed: a number on its own. The plan itself comes over a channel, and who sees the number before that has
        // come waits for it.
        self.shared().plan_generation.load(Relaxed)
    }

    pub(crate) fn set_plan_generation(&self, generation: u64) {
        // Relaxed: see `plan_generation`.
        self.shared().plan_generation.store(generation, Relaxed);
    }

    /// What became of the supervisors so far, as JSON; only they read it.
    #[must_use]
    pub fn history(&self) -> Publication<'_> {
        let words = self.mapping.section(self.layout.section(Section::History));
        Publication::new(&self.shared().history_version, words)
    }

    /// The counters of the supervisors.
    #[must_use]
    pub fn supervisors(&self) -> &SupervisorCounters {
        &self.shared().supervisors
    }

    /// Slots whose token was refused, as the workers reported them.
    #[must_use]
    pub fn suspects(&self) -> Suspects<'_> {
        Suspects::new(&self.shared().supervisors.suspects, self.pool().slots)
    }

    /// How many accounts there are, if the upstream refuses them all and no token is left to wait for.
    #[must_use]
    pub fn hopeless(&self) -> Option<u64> {
        // Relaxed: a number on its own; the bells that follow a change carry the order.
        Some(self.shared().supervisors.hopeless.load(Relaxed)).filter(|&accounts| accounts > 0)
    }

    /// Says so, or with 0 that there is hope. True if that is news.
    pub(crate) fn set_hopeless(&self, accounts: u64) -> bool {
        // Relaxed: see `hopeless`; only the supervisor writes.
        self.shared().supervisors.hopeless.swap(accounts, Relaxed) != accounts
    }

    /// The counters of `seat`.
    #[must_use]
    pub fn counters(&self, seat: SeatIndex) -> &SeatCounters {
        &self.mapping.section(self.layout.section(Section::Counters))[seat.get()]
    }

    fn client_words(&self) -> &[AtomicU64] {
        self.mapping.section(self.layout.section(Section::Clients))
    }

    /// The client connections of all seats.
    #[must_use]
    pub fn clients(&self) -> Clients<'_> {
        Clients::new(self.client_words())
    }

    /// Counts the connections of `seat` out, whose process has ended, and gives the memory of their table back.
    pub(crate) fn wipe_clients(&self, seat: SeatIndex) {
        let words = HEAD_WORDS + seat.get() * SEAT_WORDS;
        let section = self.layout.section::<AtomicU64>(Section::Clients);
        let [at, length] = [
            section.offset() + words * size_of::<AtomicU64>(),
            SEAT_WORDS * size_of::<AtomicU64>(),
        ]
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if fallocate(&self.file, hole, at, length).is_err() {
            let part = &self.client_words()[words..][..SEAT_WORDS];
            // Relaxed: nobody else writes them before the seat is filled again.
            part.iter().for_each(|word| word.store(0, Relaxed));
        }
    }

    /// Connects to the upstream that failed, as the workers reported them.
    #[must_use]
    pub fn unreachable_reports(&self) -> u64 {
        // Relaxed: a number on its own; the bell that follows a report carries the order.
        self.shared().unreachable_reports.load(Relaxed)
    }

    /// Reports a connect to the upstream that failed.
    pub(crate) fn report_unreachable(&self) {
        // Relaxed: see `unreachable_reports`.
        self.shared().unreachable_reports.fetch_add(1, Relaxed);
    }

    /// Keeps the tokens of the first `slots` slots out of swap, as far as the limit on locked memory
    /// allows.
    ///
    /// # Errors
    /// If it does not.
    pub fn lock_tokens(&self, slots: usize) -> io::Result<()> {
        let words = Publication::words_for(self.geometry().token_bytes + ORIGIN_BYTES);
        let section = self.layout.section::<AtomicU64>(Section::Tokens);
        self.mapping
            .lock(section.offset(), slots * words * size_of::<AtomicU64>())
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What keeps a region's length as it is, for ever.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// An anonymous file, empty, that can be sealed.
pub(crate) fn sealable_file(name: &CStr) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // From Linux 6.3 on a memory file says whether it may ever be executed; hardened hosts demand it.
    let never_executed = flags | MFdFlags::from_bits_retain(nix::libc::MFD_NOEXEC_SEAL);
    let file = match memfd_create(name, never_executed) {
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        created => created?,
    };
    Ok(File::from(file))
}

/// An anonymous file of `bytes` zeros that can be neither shrunk nor grown: nobody can make another's
/// access to the mapping fault.
fn memory_file(bytes: usize) -> io::Result<File> {
    let file = sealable_file(c"tpp")?;
    file.set_len(bytes as u64)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
