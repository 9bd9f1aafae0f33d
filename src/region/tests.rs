use std::{
    fs::Permissions,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
};

use proptest::prelude::*;

use super::*;
use crate::{clients::Bounds, ids::SlotIndex, limits::Table};

const SMALL: Geometry = Geometry {
    slots: 8,
    seats: 2,
    token_bytes: 64,
};

fn reopened(region: &Region) -> Result<Region, RegionError> {
    Region::open(region.as_fd().try_clone_to_owned().expect("descriptor"))
}

#[test]
fn two_mappings_show_the_same_words() {
    let region = Region::create(SMALL).unwrap();
    region.set_slots_used(4);
    let other = reopened(&region).unwrap();
    region.token(SlotIndex::new(3)).publish(b"a token").unwrap();
    let mut read = Vec::new();
    assert_eq!(other.token(SlotIndex::new(3)).read(&mut read), 1);
    assert_eq!(read, b"a token");
    assert_eq!(other.pool().slots.len(), 4);
}

#[test]
fn a_dead_seats_connections_are_counted_out_and_no_others() {
    let region = Region::create(SMALL).unwrap();
    let other = reopened(&region).unwrap();
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let both_at_most = |total| Bounds {
        total: Some(total),
        per_address: Some(total),
        here: None,
    };
    for seat in [0, 0, 1] {
        let clients = region.clients();
        let _kept = clients
            .admit(SeatIndex::new(seat), address, both_at_most(3))
            .unwrap();
    }
    region.wipe_clients(SeatIndex::new(0));
    assert_eq!(other.clients().total(), 1);
    let seat = SeatIndex::new(0);
    let again = || other.clients().admit(seat, address, both_at_most(2));
    let _kept = again().unwrap();
    assert!(again().is_err(), "the living one's is still counted");
}

#[test]
fn the_file_cannot_be_resized() {
    let region = Region::create(SMALL).unwrap();
    assert!(region.file.set_len(0).is_err());
    assert!(region.file.set_len(1 << 30).is_err());
}

#[test]
fn the_file_can_never_be_executed_where_the_kernel_knows_of_such_a_thing() {
    let never = MFdFlags::from_bits_retain(nix::libc::MFD_NOEXEC_SEAL);
    let is_known = memfd_create("tpp", never).is_ok();
    let file = Region::create(SMALL).unwrap().file;
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111 == 0, is_known, "{mode:o}");
    let executable = Permissions::from_mode(0o700);
    assert_eq!(file.set_permissions(executable).is_err(), is_known);
}

#[test]
fn memory_that_could_shrink_under_the_mapping_is_refused() {
    let file = File::from(memfd_create("tpp", MFdFlags::MFD_ALLOW_SEALING).unwrap());
    file.write_all_at(&directory_bytes(&Region::create(SMALL).unwrap()), 0)
        .unwrap();
    assert!(matches!(
        Region::open(file.into()),
        Err(RegionError::Unsealed)
    ));
}

#[test]
fn the_largest_region_takes_memory_only_as_it_is_used() {
    let region = Region::create(Geometry {
        slots: 16384,
        seats: 256,
        token_bytes: 4096,
    })
    .unwrap();
    region.set_slots_used(200);
    let _ = region.pool().census();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&region.file.metadata().unwrap());
    assert!(region.bytes > 100 << 20, "{} bytes mapped", region.bytes);
    assert!(blocks * 512 < 4 << 20, "{} bytes used", blocks * 512);
}

#[test]
fn another_layout_version_is_refused_by_number() {
    let region = Region::create(SMALL).unwrap();
    region
        .file
        .write_all_at(&(LAYOUT_VERSION + 1).to_le_bytes(), 8)
        .unwrap();
    let error = reopened(&region).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "region of layout {}, this is layout {LAYOUT_VERSION}",
            LAYOUT_VERSION + 1
        )
    );
}

#[test]
fn a_geometry_beyond_the_words_is_refused() {
    let error = Region::create(Geometry {
        slots: SlotIndex::CAPACITY + 1,
        ..SMALL
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "slots: 16385 is out of 1..=16384");
}

fn directory_bytes(region: &Region) -> Vec<u8> {
    let mut bytes = vec![0; DIRECTORY_BYTES];
    region.file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// A file of `bytes` bytes that begins with `directory`.
fn file_of(directory: &[u8], bytes: usize) -> OwnedFd {
    let file = memory_file(bytes).unwrap();
    file.write_all_at(directory, 0).unwrap();
    file.into()
}

#[test]
fn a_shorter_file_than_the_directory_says_is_refused() {
    let region = Region::create(SMALL).unwrap();
    let file = file_of(&directory_bytes(&region), region.bytes - PAGE);
    assert!(matches!(
        Region::open(file),
        Err(RegionError::Damaged { what: "length", .. })
    ));
}

#[test]
fn a_section_of_a_kind_that_nobody_knows_is_nobodys_business() {
    let region = Region::with_room(SMALL, PAGE).unwrap();
    let used = region.directory().entries().count();
    let ends = region.directory().entries().filter_map(|entry| entry.end());
    let begin = ends.max().unwrap().next_multiple_of(PAGE);
    // As a later version would enter it.
    let entry = [0x7777 | 8 << 32, begin, (region.bytes - begin) / 8, 0].map(|word| word as u64);
    let at = (directory::HEADER_WORDS + 4 * used) as u64 * 8;
    for (index, word) in entry.into_iter().enumerate() {
        let at = at + 8 * index as u64;
        region.file.write_all_at(&word.to_le_bytes(), at).unwrap();
    }
    let count = (used as u64 + 1).to_le_bytes();
    region.file.write_all_at(&count, 24).unwrap();
    let other = reopened(&region).unwrap();
    assert_eq!(other.geometry(), SMALL);
    assert!(
        matches!(
            other.add_pool(1, PoolGeometry::of_permits(1)),
            Err(RegionError::Full { .. })
        ),
        "its room is not taken"
    );
}

#[test]
fn pools_come_and_go_and_other_processes_see_them() {
    let region = Region::with_room(SMALL, 1 << 20).unwrap();
    let other = reopened(&region).unwrap();
    let limit = region.add_pool(11, PoolGeometry::of_permits(3)).unwrap();
    let tokens = region
        .add_pool(22, PoolGeometry::of_tokens(100, 128))
        .unwrap();
    let seen: Vec<_> = other.pools().iter().map(|it| (it.id(), it.key())).collect();
    assert_eq!(
        seen,
        [(PoolId::DEFAULT, 0), (limit.id(), 11), (tokens.id(), 22)]
    );
    region.terms_at(&tokens).set_slots_used(100);
    let last = SlotIndex::new(99);
    region.token_at(&tokens, last).publish(b"secret").unwrap();
    let theirs = other.find_pool(tokens.id()).unwrap();
    assert_eq!(theirs.geometry(), PoolGeometry::of_tokens(100, 128));
    let mut read = Vec::new();
    assert_eq!(other.token_at(&theirs, last).read(&mut read), 1);
    assert_eq!(read, b"secret");
    region.remove_pool(tokens.id()).unwrap();
    assert!(other.find_pool(tokens.id()).is_none());
    assert!(other.find_pool(limit.id()).is_some());
    // Its room is used again, and nothing is left there of what it held.
    let next = region
        .add_pool(33, PoolGeometry::of_tokens(100, 128))
        .unwrap();
    assert_ne!(next.id(), tokens.id());
    region.terms_at(&next).set_slots_used(100);
    assert_eq!(region.token_at(&next, last).read(&mut read), 0);
    assert_eq!(next.slots.offset(), tokens.slots.offset());
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing_behind() {
    let region = Region::with_room(SMALL, 16 * PAGE).unwrap();
    for _ in 0..3 {
        let refused = region.add_pool(1, PoolGeometry::of_tokens(1000, 1000));
        assert!(matches!(refused, Err(RegionError::Full { .. })));
    }
    assert_eq!(region.pools().len(), 1);
    let beyond = PoolGeometry {
        window: 0,
        ..PoolGeometry::of_permits(1)
    };
    assert!(matches!(
        region.add_pool(1, beyond),
        Err(RegionError::Geometry { what: "window", .. })
    ));
    let small = PoolGeometry {
        window: 4,
        ..PoolGeometry::of_permits(3)
    };
    region.add_pool(1, small).unwrap();
    assert_eq!(reopened(&region).unwrap().pools().len(), 2);
}

#[test]
fn what_a_supervisor_left_half_made_is_cleared_away() {
    let region = Region::with_room(SMALL, 1 << 20).unwrap();
    let half = PoolId::new(1);
    let entry = region.directory().add(kind::Kind::Slots, half, 5, 0);
    let offset = entry.unwrap().offset;
    assert!(region.find_pool(half).is_none() && region.pools().len() == 1);
    let whole = region.add_pool(9, PoolGeometry::of_permits(5)).unwrap();
    assert_eq!(region.pools().len(), 2);
    let lowest = whole.line_seats.offset().min(whole.places.offset());
    assert!(lowest <= offset, "room lost");
}

#[test]
fn tables_are_added_to_a_region_in_use_and_take_memory_only_as_they_are_used() {
    let region = Region::with_room(SMALL, 64 << 20).unwrap();
    let (other, host) = (reopened(&region).unwrap(), 2047);
    assert!(other.hosts().is_none() && other.rates().is_none());
    region.add_rows(RowGeometry::FULL).unwrap();
    let theirs = other.hosts().expect("they are there now");
    let part = |seat| &theirs.of(SeatIndex::new(seat))[host];
    part(1).in_flight.rise();
    let seats = || (0..2).map(SeatIndex::new);
    assert_eq!(region.hosts().unwrap().in_flight(host, seats()), 1);
    assert_eq!(region.hosts().unwrap().in_flight(0, seats()), 0);
    let secret = || other.rates().unwrap().has_secret();
    assert!(secret());
    region.add_rows(RowGeometry::FULL).unwrap();
    assert_eq!(
        theirs.in_flight(host, seats()),
        1,
        "done again, it changes nothing"
    );
    let blocks = std::os::unix::fs::MetadataExt::blocks(&region.file.metadata().unwrap());
    assert!(blocks * 512 < 1 << 20, "{} bytes used", blocks * 512);
}

#[test]
fn tables_that_do_not_fit_or_do_not_belong_together_are_none() {
    let region = Region::with_room(SMALL, 4 << 20).unwrap();
    let refused = region.add_rows(RowGeometry::FULL);
    assert!(matches!(refused, Err(RegionError::Full { .. })));
    assert!(region.hosts().is_none());
    let region = Region::with_room(SMALL, 4 << 20).unwrap();
    let none = PoolId::DEFAULT;
    let added = region.directory().add(kind::Kind::HostSeats, none, 5, 0);
    assert!(added.is_some());
    let small = RowGeometry {
        hosts: 4,
        backends: 4,
        pairs: 4,
        groups: 4,
        rate_sets: 4,
    };
    assert!(matches!(
        region.add_rows(small),
        Err(RegionError::Damaged {
            what: "parts of rows",
            ..
        })
    ));
    assert!(reopened(&region).unwrap().hosts().is_none());
}

proptest! {
    #[test]
    fn any_damage_to_what_the_directory_says_is_refused(at in 0..64_usize, value: u64) {
        let region = Region::create(SMALL).unwrap();
        let mut directory = directory_bytes(&region);
        // What is reserved, and keys, are nobody's business.
        prop_assume!(at < 4 || (16..16 + 4 * 12).contains(&at) && at % 4 != 3);
        let before: [u8; 8] = directory[at * 8..][..8].try_into().unwrap();
        prop_assume!(u64::from_le_bytes(before) != value);
        directory[at * 8..][..8].copy_from_slice(&value.to_le_bytes());
        prop_assert!(Region::open(file_of(&directory, region.bytes)).is_err());
    }

    #[test]
    fn a_foreign_file_is_refused(bytes in prop::collection::vec(any::<u8>(), 64)) {
        prop_assert!(Region::open(file_of(&bytes, DIRECTORY_BYTES)).is_err());
    }
}

#[test]
fn memory_is_made_for_the_rows_that_are_given_and_for_no_others() {
    let region = Region::with_room(SMALL, 64 << 20).unwrap();
    assert_eq!(region.written_rows(), WrittenRows::default());
    region.add_rows(RowGeometry::FULL).unwrap();
    let memory = || region.file.metadata().unwrap().blocks();
    let (none, before) = (region.written_rows(), memory());
    // A page that a table shares with its neighbour at most.
    assert!(
        [none.hosts, none.backends, none.pairs, none.groups]
            .iter()
            .all(|rows| *rows <= 64),
        "{none:?}"
    );
    let groups = region.groups().unwrap();
    let table = Table::new(groups, none.groups);
    let given = table.assign(&[7, 8], 1, |_, _| true, |_| {}).unwrap();
    assert_eq!(given, [0, 1]);
    // Two pages, should they lie across.
    assert!(memory() - before <= 2 * 8, "{} blocks", memory() - before);
    let written = region.written_rows().groups;
    assert!((2..=64).contains(&written), "{written}");
    let (again, other) = (Table::new(groups, written), reopened(&region).unwrap());
    assert_eq!(again.taken().collect::<Vec<_>>(), [(0, 7), (1, 8)]);
    assert_eq!(other.written_rows(), region.written_rows());
    // The last row, with a hole before it.
    groups.last().unwrap().next();
    assert_eq!(region.written_rows().groups, groups.len());
}
