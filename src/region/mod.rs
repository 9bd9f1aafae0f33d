//! The region: one shared mapping that holds a pool, and what supervisor and workers tell each other.
//!
//! It is an anonymous memory file, sealed against resizing, without a path. The supervisor creates it; a worker
//! inherits its descriptor and maps the same pages. A directory says what lies where; a process that needs something else
//! there refuses it.
//!
//! Pools are added to it, and taken away, while it is in use: a region is made with room for them. Untouched memory of the file
//! is not there, so room costs addresses alone; and no descriptor has to reach the workers, a successor and systemd's store before
//! a pool can be used, as it would with a file a pool.

mod directory;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod host_memory;
mod kind;
mod mapping;
mod pools;
mod rows;
mod seat_lock;
mod sections;
mod span_rings;
mod written;

use std::{
    ffi::CStr,
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileExt,
    sync::{OnceLock, atomic::Ordering::Relaxed},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::{
    clients::{Clients, HEAD_WORDS, SEAT_WORDS},
    ids::{PoolId, SeatIndex},
    roster::Seat,
    shared::{Publication, SeatCounters, SupervisorCounters},
    spans::SpanRing,
    sync::AtomicU64,
};

pub use directory::LAYOUT_VERSION;
use directory::{DIRECTORY_BYTES, Directory, MAGIC, PAGE, Span};
use kind::SharedWords;
use mapping::Mapping;
use rows::RowParts;
pub use rows::{RowGeometry, SeatTable};
pub use seat_lock::SeatLock;
pub use sections::{Geometry, PoolGeometry, PoolParts};
use sections::{Parts, bytes_for, lay_out};
pub use written::WrittenRows;

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
    /// All of the region is taken.
    #[error("no room in the region for {bytes} bytes more")]
    Full {
        /// What was to be added.
        bytes: usize,
    },
}

/// A mapped region. Dropping it unmaps; the memory lives until the last process has.
#[derive(Debug)]
pub struct Region {
    file: File,
    mapping: Mapping,
    bytes: usize,
    parts: Parts,
    /// The pool that every region has.
    default: PoolParts,
    /// Where its rows lie, once they are there.
    rows: OnceLock<RowParts>,
    /// Where the rings of spans lie, once they are there.
    span_rings: OnceLock<Span<SpanRing>>,
}

impl Region {
    /// Creates a region, all empty, without room for more pools.
    ///
    /// # Errors
    /// If the geometry is out of bounds or the system refuses the memory.
    pub fn create(geometry: Geometry) -> Result<Self, RegionError> {
        Self::with_room(geometry, 0)
    }

    /// Creates a region, all empty, with `room` bytes for pools that are added to it. What is not used takes no memory.
    ///
    /// # Errors
    /// If the geometry is out of bounds or the system refuses the memory.
    pub fn with_room(geometry: Geometry, room: usize) -> Result<Self, RegionError> {
        let bytes = bytes_for(geometry)?.saturating_add(room.next_multiple_of(PAGE));
        let refused = |source| RegionError::Create { bytes, source };
        let file = memory_file(bytes).map_err(refused)?;
        let mapping = Mapping::of(&file, bytes).map_err(refused)?;
        let directory = directory_of(&mapping);
        directory.begin(bytes);
        lay_out(directory, geometry).ok_or(RegionError::Full { bytes })?;
        let region = Self::of(file, mapping, bytes)?;
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
        let mut header = [[0; 8]; 2];
        file.read_exact_at(header.as_flattened_mut(), 0)
            .map_err(RegionError::Map)?;
        let [magic, version] = header.map(u64::from_le_bytes);
        if magic != MAGIC {
            return Err(RegionError::Magic { found: magic });
        }
        if version != LAYOUT_VERSION {
            return Err(RegionError::Version { found: version });
        }
        let length = file.metadata().map_err(RegionError::Map)?.len();
        let bytes = usize::try_from(length)
            .ok()
            .filter(|&bytes| bytes >= DIRECTORY_BYTES);
        let bytes = bytes.ok_or(RegionError::Damaged {
            what: "length",
            found: length,
            expected: DIRECTORY_BYTES as u64,
        })?;
        let mapping = Mapping::of(&file, bytes).map_err(RegionError::Map)?;
        Self::of(file, mapping, bytes)
    }

    /// By what its directory says, if that can be.
    fn of(file: File, mapping: Mapping, bytes: usize) -> Result<Self, RegionError> {
        let directory = directory_of(&mapping);
        directory.check(bytes)?;
        let parts = Parts::find(directory)?;
        let sections = directory.of_pool(PoolId::DEFAULT);
        let default = PoolParts::find(&sections, PoolId::DEFAULT, parts.seats.count())?;
        Ok(Self {
            file,
            mapping,
            bytes,
            parts,
            default,
            rows: OnceLock::new(),
            span_rings: OnceLock::new(),
        })
    }

    fn directory(&self) -> Directory<'_> {
        directory_of(&self.mapping)
    }

    /// Its seats, and the size of its first pool.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        let PoolGeometry {
            slots, token_bytes, ..
        } = self.default.geometry();
        Geometry {
            slots,
            seats: self.parts.seats.count(),
            token_bytes,
        }
    }

    /// The seats: who works here.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        self.mapping.section(self.parts.seats)
    }

    fn shared(&self) -> &SharedWords {
        &self.mapping.section(self.parts.shared)[0]
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
        let words = self.mapping.section(self.parts.history);
        Publication::new(&self.shared().history_version, words)
    }

    /// The counters of the supervisors.
    #[must_use]
    pub fn supervisors(&self) -> &SupervisorCounters {
        &self.shared().supervisors
    }

    /// The counters of `seat`.
    #[must_use]
    pub fn counters(&self, seat: SeatIndex) -> &SeatCounters {
        &self.mapping.section(self.parts.counters)[seat.get()]
    }

    fn client_words(&self) -> &[AtomicU64] {
        self.mapping.section(self.parts.clients)
    }

    /// The client connections of all seats.
    #[must_use]
    pub fn clients(&self) -> Clients<'_> {
        Clients::new(self.client_words())
    }

    /// Counts the connections of `seat` out, whose process has ended, and gives the memory of their table back.
    pub(crate) fn wipe_clients(&self, seat: SeatIndex) {
        let words = HEAD_WORDS + seat.get() * SEAT_WORDS;
        let section = self.parts.clients;
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
}

fn directory_of(mapping: &Mapping) -> Directory<'_> {
    let words = DIRECTORY_BYTES / size_of::<u64>();
    Directory::new(mapping.section(Span::new(0, words)))
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
