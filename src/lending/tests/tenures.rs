//! Deadlines of slots that this host shares with others.

use crate::{
    clock::boot_millis,
    ids::PoolId,
    shared::{Deadlines, Tenure},
};

use super::*;

const HOUR: u64 = 3_600_000;

/// Deadlines that come one after the other, from `lend_until` on.
fn from(lend_until: u64) -> Deadlines {
    Deadlines {
        lend_until,
        cut_at: lend_until + 10_000,
        kill_at: lend_until + 20_000,
    }
}

/// A fixture whose first slot is floating, with the second one at home, both lent for an hour.
fn shared() -> Fixture {
    let fixture = Fixture::new(2, 2);
    let soon = from(boot_millis() + HOUR);
    for (slot, tenure) in Tenure::ALL.into_iter().enumerate() {
        become_of(&fixture, slot, Some(tenure));
        fixture.stock.set_deadlines(tenure, soon);
    }
    fixture
}

fn become_of(fixture: &Fixture, slot: usize, tenure: Option<Tenure>) {
    let index = SlotIndex::new(slot);
    fixture.stock.take_out_of_use(index);
    assert!(fixture.stock.set_tenure(index, tenure), "nobody has it");
    fixture.install(slot, "next");
}

#[test]
fn a_slot_that_nobody_shares_has_no_deadline() {
    let fixture = Fixture::new(1, 1);
    fixture
        .stock
        .set_deadlines(Tenure::Floating, Deadlines::over(1));
    let desk = &fixture.desks[0];
    let lease = desk.try_lease().unwrap();
    assert!(lease.may_stamp() && !lease.is_ended() && lease.kill_at().is_none());
    assert_eq!(desk.look_at_deadlines(boot_millis()), Tenancy::default());
}

#[test]
fn deadlines_hold_without_anybody_to_enforce_them() {
    let fixture = shared();
    let desk = &fixture.desks[0];
    let (floating, home) = (desk.try_lease().unwrap(), desk.try_lease().unwrap());
    assert_eq!((floating.slot().get(), home.slot().get()), (0, 1));
    assert!(floating.may_stamp() && home.may_stamp());
    let now = boot_millis();
    fixture.stock.set_deadlines(Tenure::Floating, from(now));
    assert!(
        !floating.may_stamp() && !floating.is_ended(),
        "it may go on"
    );
    assert!(home.may_stamp(), "the other has deadlines of its own");
    fixture
        .stock
        .set_deadlines(Tenure::Floating, Deadlines::over(now));
    assert!(floating.is_ended() && !home.is_ended());
    assert_eq!(floating.watch().why_ended(), Some(EndOfLease::Cut));
}

#[test]
fn what_has_lapsed_is_lent_to_nobody_until_there_is_time_again() {
    let fixture = shared();
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    fixture
        .stock
        .set_deadlines(Tenure::Floating, from(boot_millis()));
    let found = one.look_at_deadlines(boot_millis());
    assert_eq!(found, Tenancy::default(), "this one holds nothing");
    let home = two.try_lease().unwrap();
    assert_eq!(home.slot().get(), 1, "the floating one is held back");
    let mut waiting = two.join();
    fixture.install(0, "another");
    fixture.stock.sweep();
    assert!(
        poll(&mut waiting).is_none(),
        "and stays so with a new token"
    );
    let later = from(boot_millis() + HOUR);
    fixture.stock.set_deadlines(Tenure::Floating, later);
    two.answer_bell();
    let lease = poll(&mut waiting).expect("first who waited");
    assert!(lease.may_stamp());
}

#[test]
fn a_worker_that_holds_back_by_an_old_look_is_put_right() {
    let fixture = shared();
    let desk = &fixture.desks[0];
    // It had looked when the time was over, and does what follows from it when there is time again.
    desk.pool().hold_back(|_| true);
    assert!(desk.try_lease().is_none());
    fixture.stock.sweep();
    assert!(desk.try_lease().is_some() && desk.try_lease().is_some());
}

#[test]
fn a_worker_is_ended_by_the_nearest_deadline_of_what_it_holds() {
    let fixture = shared();
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    let now = boot_millis();
    let (near, far) = (from(now + HOUR), from(now + 2 * HOUR));
    fixture.stock.set_deadlines(Tenure::Floating, near);
    fixture.stock.set_deadlines(Tenure::Home, far);
    let floating = one.try_lease().unwrap();
    let home = one.try_lease().unwrap();
    assert_eq!(
        one.look_at_deadlines(boot_millis()).kill_at,
        Some(near.kill_at)
    );
    assert_eq!(
        two.look_at_deadlines(boot_millis()).kill_at,
        None,
        "it holds nothing"
    );
    fixture.stock.set_deadlines(Tenure::Floating, from(now));
    let found = one.look_at_deadlines(boot_millis());
    assert_eq!(found.lapsed, [(PoolId::DEFAULT, SlotIndex::new(0))]);
    assert!(!found.is_cut);
    fixture
        .stock
        .set_deadlines(Tenure::Floating, Deadlines::over(now));
    assert!(one.look_at_deadlines(boot_millis()).is_cut);
    drop(floating);
    let found = one.look_at_deadlines(boot_millis());
    assert_eq!(found.kill_at, Some(far.kill_at), "what it holds still");
    assert!(found.lapsed.is_empty() && !found.is_cut);
    drop(home);
    assert_eq!(one.look_at_deadlines(boot_millis()), Tenancy::default());
}

#[test]
fn whether_a_slot_has_a_deadline_changes_only_while_nobody_can_have_it() {
    let fixture = shared();
    let (stock, desk) = (&fixture.stock, &fixture.desks[0]);
    let first = SlotIndex::new(0);
    assert!(!stock.set_tenure(first, None), "in use");
    let lease = desk.try_lease().unwrap();
    assert_eq!(lease.slot(), first);
    stock.take_out_of_use(first);
    assert!(!stock.set_tenure(first, None), "held");
    drop(lease);
    assert!(stock.set_tenure(first, None), "out of use and free");
    assert!(stock.set_tenure(first, Some(Tenure::Home)));
}

#[test]
fn whoever_holds_a_slot_that_becomes_stricter_looks_at_once() {
    let fixture = shared();
    let (stock, desk) = (&fixture.stock, &fixture.desks[0]);
    let _floating = desk.try_lease().unwrap();
    let home = desk.try_lease().unwrap();
    let mut seen = 0;
    assert!(!desk.look_at_leases(&mut seen));
    assert!(stock.set_tenure(home.slot(), Some(Tenure::Floating)));
    assert!(desk.look_at_leases(&mut seen));
    stock.set_deadlines(Tenure::Floating, from(boot_millis()));
    assert!(home.has_lapsed() && desk.look_at_leases(&mut seen));
    assert!(
        stock.set_tenure(home.slot(), Some(Tenure::Home)),
        "more time"
    );
    assert!(!home.has_lapsed() && !desk.look_at_leases(&mut seen));
}

#[test]
fn whoever_holds_what_is_to_be_cut_is_told_at_once() {
    let fixture = shared();
    let desk = &fixture.desks[0];
    let mut seen = 0;
    let _lease = desk.try_lease().unwrap();
    let far = from(boot_millis() + 2 * HOUR);
    fixture.stock.set_deadlines(Tenure::Floating, far);
    assert!(!desk.look_at_leases(&mut seen), "it moved away");
    let over = Deadlines::over(boot_millis());
    fixture.stock.set_deadlines(Tenure::Floating, over);
    assert!(desk.look_at_leases(&mut seen));
}
