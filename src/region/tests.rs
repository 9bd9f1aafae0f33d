use std::os::fd::AsFd;

use proptest::prelude::*;

use super::*;
use crate::clients::Bounds;

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
fn memory_that_could_shrink_under_the_mapping_is_refused() {
    let layout = Layout::of(SMALL).unwrap();
    let file = File::from(memfd_create("tpp", MFdFlags::MFD_ALLOW_SEALING).unwrap());
    file.set_len(layout.bytes() as u64).unwrap();
    file.write_all_at(&layout.header(), 0).unwrap();
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
    assert!(
        region.layout.bytes() > 100 << 20,
        "{} bytes mapped",
        region.layout.bytes()
    );
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

#[test]
fn a_shorter_file_than_the_header_says_is_refused() {
    let layout = Layout::of(SMALL).unwrap();
    let file = memory_file(layout.bytes() / 2).unwrap();
    file.write_all_at(&layout.header(), 0).unwrap();
    assert!(matches!(
        Region::open(file.into()),
        Err(RegionError::Damaged { what: "length", .. })
    ));
}

proptest! {
    #[test]
    fn any_damage_to_the_header_is_refused(at in 0..18_usize, value: u64) {
        let layout = Layout::of(SMALL).unwrap();
        let mut header = layout.header();
        let before: [u8; 8] = header[at * 8..][..8].try_into().unwrap();
        prop_assume!(u64::from_le_bytes(before) != value);
        header[at * 8..][..8].copy_from_slice(&value.to_le_bytes());
        prop_assert!(Layout::read(&header).is_err());
    }

    #[test]
    fn a_foreign_file_is_refused(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES)) {
        prop_assert!(Layout::read(bytes.as_slice().try_into().unwrap()).is_err());
    }
}
