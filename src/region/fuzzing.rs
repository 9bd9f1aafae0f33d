//! Regions that are foreign or damaged: refused, or safe to look at.

use std::{fs::File, os::unix::fs::FileExt};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use super::{Geometry, HEADER_BYTES, Layout, Region, RegionError, SEALS};
use crate::pool::{Bells, Claim, Epoch, ORIGIN_BYTES, Released, SeatIndex, SlotIndex, SlotState};

const SMALL: Geometry = Geometry {
    slots: 8,
    seats: 2,
    token_bytes: 64,
};
/// Words of a header that mean something.
const HEADER_WORDS: usize = 19;

/// What is done to a region before it is opened. The first byte of an input says which, the rest is for the words.
struct Damage<'a> {
    /// The rest stands for the file's own bytes instead of for changes to words.
    foreign: bool,
    unsealed: bool,
    cut: bool,
    grown: bool,
    rest: &'a [u8],
}

impl<'a> Damage<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (&kinds, rest) = bytes.split_first()?;
        Some(Self {
            foreign: kinds & 1 != 0,
            unsealed: kinds & 2 != 0,
            cut: kinds & 4 != 0,
            grown: kinds & 8 != 0,
            rest,
        })
    }

    /// A word's index and what is written there.
    fn changes(&self) -> impl Iterator<Item = (u64, [u8; 8])> {
        let changes = self.rest.chunks_exact(10).take(64);
        changes.map(|change| {
            let (index, value) = change.split_at(2);
            let index = u16::from_le_bytes([index[0], index[1]]);
            (u64::from(index), value.try_into().expect("eight bytes"))
        })
    }

    fn file(&self) -> File {
        let layout = Layout::of(SMALL).expect("a small geometry");
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("fuzzed", flags).expect("memory"));
        if self.foreign {
            file.write_all_at(self.rest, 0).expect("memory");
        } else {
            file.set_len(layout.bytes() as u64).expect("memory");
            file.write_all_at(&layout.header(), 0).expect("memory");
            for (index, value) in self.changes() {
                let at = (index * 8).min(layout.bytes() as u64 - 8);
                file.write_all_at(&value, at).expect("memory");
            }
        }
        let length = file.metadata().expect("our own file").len();
        if self.cut {
            file.set_len(length / 2).expect("memory");
        } else if self.grown {
            file.set_len(length + 4096).expect("memory");
        }
        if !self.unsealed {
            fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS)).expect("a fresh file");
        }
        file
    }
}

/// Any bytes as a region's file, or as damage to a sound one.
pub fn region_header(bytes: &[u8]) {
    let Some(damage) = Damage::of(bytes) else {
        return;
    };
    let file = damage.file();
    let mut header = [0; HEADER_BYTES];
    let is_whole = file.read_exact_at(&mut header, 0).is_ok();
    let length = file.metadata().expect("our own file").len();
    match Region::open(file.into()) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(damage.unsealed, matches!(error, RegionError::Unsealed));
            let sound = Layout::of(SMALL).expect("a small geometry");
            let is_ours = !damage.unsealed && header[..] == sound.header()[..];
            assert!(
                !is_ours || length != sound.bytes() as u64,
                "a sound region is refused"
            );
        }
        Ok(region) => {
            assert!(is_whole && !damage.unsealed);
            let same = Layout::of(region.geometry()).expect("its own geometry");
            assert_eq!(length, same.bytes() as u64);
            let meant = ..HEADER_WORDS * 8;
            assert_eq!(
                header[meant],
                same.header()[meant],
                "a header nobody writes"
            );
            look_everywhere(&region);
            move_everywhere(&region);
            look_everywhere(&region);
        }
    }
}

/// Bells that nobody hears.
struct NoBells;

impl Bells for NoBells {
    fn ring(&self, _: SeatIndex) {}
}

/// The supervisor's moves and a worker's, over words that may hold anything: they end, and they panic nowhere.
fn move_everywhere(region: &Region) {
    let pool = region.pool();
    pool.sweep(&NoBells);
    pool.pass_by(SeatIndex::new(0), &NoBells);
    for index in 0..pool.seats.len() {
        let seat = SeatIndex::new(index);
        let reclaimed = pool.reclaim(seat, &NoBells);
        region.counters(seat).settle(reclaimed.leases);
        assert_eq!(pool.leases_of(seat), 0);
    }
    let claim = Claim {
        seat: SeatIndex::new(0),
        epoch: Epoch::new(1),
        number: 1,
    };
    if let Some(slot) = pool.try_claim(claim) {
        assert_eq!(pool.slot_state(slot.get()), SlotState::Leased(claim.seat));
        assert_eq!(pool.release(slot, claim, &NoBells), Released::Idle);
    }
}

/// Reads all that can be read; the words may hold anything.
fn look_everywhere(region: &Region) {
    let pool = region.pool();
    let census = pool.census();
    assert_eq!(census.usable, census.available + census.in_use);
    let (slots, seats) = (pool.slots.len(), pool.seats.len());
    assert!(slots <= region.geometry().slots && seats == region.geometry().seats);
    let mut bytes = Vec::new();
    for index in 0..slots {
        let _ = (pool.slot_state(index), pool.slots[index].uses());
        region.token(SlotIndex::new(index)).read(&mut bytes);
        let room = (region.geometry().token_bytes + ORIGIN_BYTES).next_multiple_of(8);
        assert!(bytes.len() <= room);
    }
    for index in 0..seats {
        let seat = SeatIndex::new(index);
        let _ = (pool.seats[index].word(), pool.leases_of(seat));
        let _ = region.counters(seat).open_connections();
    }
    let _ = region.plan_generation();
}
