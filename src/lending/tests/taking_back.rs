//! Pauses, leases taken back, deadlines.

use super::*;

#[test]
fn a_paused_pool_lends_nothing_and_keeps_the_line() {
    let fixture = Fixture::new(2, 2);
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    let held = one.try_lease().unwrap();
    fixture.stock.pause();
    assert!(two.try_lease().is_none(), "a free slot is held back");
    let mut waiting = two.join();
    drop(held);
    fixture
        .stock
        .install(SlotIndex::new(1), b"new", ORIGIN)
        .unwrap();
    fixture.stock.sweep();
    assert!(
        poll(&mut waiting).is_none(),
        "so are one given back and one stocked"
    );
    let census = fixture.stock.pool().census();
    assert_eq!((census.available, census.in_use, census.waiting), (0, 0, 1));
    fixture.stock.resume();
    two.answer_bell();
    assert!(poll(&mut waiting).is_some(), "first who waited");
    assert!(one.try_lease().is_some() && two.try_lease().is_some());
}

#[test]
fn a_pause_that_was_cut_off_is_ended_by_the_sweep() {
    let fixture = Fixture::new(2, 1);
    // The word is said, the slots are not held back yet; and the other way round.
    fixture.stock.terms().set_paused(true);
    fixture.stock.sweep();
    assert!(fixture.desks[0].try_lease().is_none());
    fixture.stock.terms().set_paused(false);
    fixture.stock.sweep();
    assert!(fixture.desks[0].try_lease().is_some());
}

#[test]
fn a_lease_taken_back_is_told_to_its_holder_and_to_no_other() {
    let fixture = Fixture::new(1, 2);
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    let slot = SlotIndex::new(0);
    assert!(!fixture.stock.end_lease(slot), "nobody holds it");
    let lease = one.try_lease().unwrap();
    let watch = lease.watch();
    let mut seen = 0;
    assert!(!one.look_at_leases(&mut seen) && lease.may_stamp());
    assert!(fixture.stock.end_lease(slot));
    assert!(one.look_at_leases(&mut seen) && !one.look_at_leases(&mut seen));
    assert!(!two.look_at_leases(&mut 0));
    assert!(
        watch.why_ended() == Some(EndOfLease::TakenBack) && lease.is_ended() && !lease.may_stamp()
    );
    drop(lease);
    assert_eq!(watch.why_ended(), None, "it is over");
    let next = one.try_lease().unwrap();
    assert!(!next.is_ended() && next.may_stamp());
    fixture.stock.sweep();
    assert!(!next.is_ended());
}
