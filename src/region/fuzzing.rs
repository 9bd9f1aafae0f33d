//! Regions that are foreign or damaged: refused, or safe to look at.

use std::{fs::File, os::unix::fs::FileExt};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use super::{DIRECTORY_BYTES, Geometry, PAGE, PoolGeometry, Region, RegionError, SEALS};
use crate::{
    ids::{Epoch, PoolId, SeatIndex, SlotIndex},
    pool::{Bells, Claim, Released, SlotState},
    shared::ORIGIN_BYTES,
};

const SMALL: Geometry = Geometry {
    slots: 8,
    seats: 2,
    token_bytes: 64,
};
/// Bytes of room, and what a pool may take of them.
const ROOM: usize = 16 * PAGE;
const SMALL_POOL: PoolGeometry = PoolGeometry::of_permits(3);

/// A sound region's directory, and the length of the whole.
fn sound() -> (Vec<u8>, u64) {
    let region = Region::with_room(SMALL, ROOM).expect("a small region");
    let mut directory = vec![0; DIRECTORY_BYTES];
    region
        .file
        .read_exact_at(&mut directory, 0)
        .expect("memory");
    (directory, region.bytes as u64)
}

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

    fn file(&self, (directory, bytes): &(Vec<u8>, u64)) -> File {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("fuzzed", flags).expect("memory"));
        if self.foreign {
            file.write_all_at(self.rest, 0).expect("memory");
        } else {
            file.set_len(*bytes).expect("memory");
            file.write_all_at(directory, 0).expect("memory");
            for (index, value) in self.changes() {
                let at = (index * 8).min(bytes - 8);
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
    let sound = sound();
    let file = damage.file(&sound);
    let mut directory = vec![0; DIRECTORY_BYTES];
    let is_whole = file.read_exact_at(&mut directory, 0).is_ok();
    let length = file.metadata().expect("our own file").len();
    match Region::open(file.into()) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(damage.unsealed, matches!(error, RegionError::Unsealed));
            let is_ours = !damage.unsealed && (directory, length) == sound;
            assert!(!is_ours, "a sound region is refused");
        }
        Ok(region) => {
            assert!(is_whole && !damage.unsealed);
            assert_eq!(length, region.bytes as u64);
            look_everywhere(&region);
            move_everywhere(&region);
            look_everywhere(&region);
            add_and_remove(&region);
        }
    }
}

/// Pools come and go, whatever the directory holds: what cannot be had is refused.
fn add_and_remove(region: &Region) {
    let before = region.pools().len();
    let Ok(parts) = region.add_pool(7, SMALL_POOL) else {
        return;
    };
    let (slots, window) = (parts.geometry().slots, parts.geometry().window);
    assert_eq!((slots, window), (SMALL_POOL.slots, SMALL_POOL.window));
    assert_eq!(region.find_pool(parts.id()).map(|it| it.key()), Some(7));
    let of_zeros = region.pool_at(&parts).slots.len();
    assert_eq!(of_zeros, 0, "room that was never used");
    region.remove_pool(parts.id()).expect("memory");
    assert!(region.find_pool(parts.id()).is_none() && region.pools().len() <= before);
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
        let _ = (pool.slot_state(index), pool.slots[index].is_spent());
        region.token(SlotIndex::new(index)).read(&mut bytes);
        let room = (region.geometry().token_bytes + ORIGIN_BYTES).next_multiple_of(8);
        assert!(bytes.len() <= room);
    }
    for index in 0..seats {
        let seat = SeatIndex::new(index);
        let _ = (pool.seats[index].word(), pool.leases_of(seat));
        let _ = region.counters(seat).open_connections();
    }
    for parts in region.pools() {
        let _ = (
            region.pool_at(&parts).census(),
            region.terms_at(&parts).is_paused(),
        );
    }
    assert!(
        region
            .find_pool(PoolId::new(u16::MAX))
            .is_none_or(|it| it.geometry().slots > 0)
    );
    let _ = region.plan_generation();
}
