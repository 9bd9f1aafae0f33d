//! Who holds a slot, since when and from where, and the longest hold of late.

use std::{net::IpAddr, time::Duration};

use super::*;
use crate::clock::monotonic_millis;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

#[test]
fn a_holder_is_known_as_long_as_it_holds() {
    let fixture = Fixture::new(1, 1);
    let slot = SlotIndex::new(0);
    let lease = fixture.desks[0].try_lease().expect("it is free");
    assert_eq!(fixture.stock.holding(slot), None, "it has not said so yet");
    lease.note_holder(Some(CLIENT), monotonic_millis() - 5_000);
    let holding = fixture.stock.holding(slot).expect("it is held");
    assert!(holding.held >= Duration::from_secs(5), "{holding:?}");
    assert_eq!((holding.client, holding.idle), (Some(CLIENT), None));
    lease.note_idle();
    let idle = fixture.stock.holding(slot).and_then(|held| held.idle);
    assert!(idle.is_some());
    drop(lease);
    assert_eq!(fixture.stock.holding(slot), None);
    // Nothing of it is the next one's.
    let _next = fixture.desks[0].try_lease().expect("it is free");
    assert_eq!(fixture.stock.holding(slot), None);
}

#[test]
fn the_longest_hold_is_known_over_all_workers_and_outlives_them() {
    let fixture = Fixture::new(2, 2);
    assert_eq!(fixture.stock.longest_ended(), None);
    for (desk, seconds) in fixture.desks.iter().zip([3, 8]) {
        let lease = desk.try_lease().expect("it is free");
        lease.note_holder(Some(CLIENT), monotonic_millis());
        lease.note_end(Duration::from_secs(seconds));
        lease.note_end(Duration::from_millis(999));
    }
    let _ = fixture.stock.reclaim(fixture.desks[1].seat());
    let (hold, _) = fixture.stock.longest_ended().expect("one has ended");
    assert_eq!((hold.held_ms, hold.client), (8_000, Some(CLIENT)));
}
