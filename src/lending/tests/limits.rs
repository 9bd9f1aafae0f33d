//! Pools that come and go, and those without tokens.

use super::*;

/// A second pool on the fixture's region, and the desks' view of it.
fn limit(fixture: &Fixture, permits: usize) -> (Stock, Vec<Arc<Desk>>) {
    let limit = fixture.stock.add_limit(7, permits).expect("room");
    let id = limit.pool_id();
    let desks = fixture.desks.iter();
    let desks = desks.map(|desk| desk.open(id).expect("it is there"));
    let desks = desks.collect();
    (limit, desks)
}

#[test]
fn a_limit_is_a_pool_of_its_own_on_the_same_seats() {
    let fixture = Fixture::new(1, 2);
    let (limit, permits) = limit(&fixture, 2);
    let held: Vec<_> = [&permits[0], &permits[1]]
        .map(|desk| desk.try_lease().expect("two permits"))
        .into();
    assert!(permits[0].try_lease().is_none(), "never one too many");
    let mut waiting = permits[1].join();
    assert!(fixture.desks[1].try_lease().is_some(), "another line");
    assert!(poll(&mut waiting).is_none());
    drop(held);
    fixture.desks[1].answer_bell();
    let lease = poll(&mut waiting).expect("a permit came free");
    assert_eq!(limit.pool().census().in_use, 1);
    // One reclaim for all pools.
    std::mem::forget(lease);
    let token = fixture.desks[1].try_lease().expect("the token");
    std::mem::forget(token);
    assert_eq!(fixture.stock.reclaim(permits[1].seat()).leases, 2);
    assert_eq!(limit.pool().census().available, 2);
    assert_eq!(fixture.stock.pool().census().available, 1);
}

#[test]
fn fewer_permits_hold_once_those_above_are_given_back() {
    let fixture = Fixture::new(1, 1);
    let (limit, permits) = limit(&fixture, 3);
    let held: Vec<_> = std::iter::from_fn(|| permits[0].try_lease()).collect();
    assert_eq!(held.len(), 3);
    limit.set_permits(1);
    drop(held);
    let held: Vec<_> = std::iter::from_fn(|| permits[0].try_lease()).collect();
    assert_eq!(held.len(), 1);
}

#[test]
fn a_pool_goes_when_no_worker_goes_by_an_older_plan() {
    let fixture = Fixture::new(1, 2);
    let (limit, permits) = limit(&fixture, 2);
    let id = limit.pool_id();
    fixture.desks[0].show_plan(5);
    assert!(!fixture.stock.remove_pool(id, 5).unwrap());
    fixture.desks[1].show_plan(6);
    drop(permits);
    assert!(fixture.stock.remove_pool(id, 5).unwrap());
    assert!(fixture.desks[0].open(id).is_none());
}

#[test]
fn a_desk_opened_again_goes_on_with_the_window_it_left() {
    let fixture = Fixture::new(1, 1);
    let (limit, permits) = limit(&fixture, 1);
    let (id, held) = (limit.pool_id(), permits[0].try_lease().unwrap());
    let mut waiting = permits[0].join();
    drop(held);
    assert!(poll(&mut waiting).is_some());
    drop((waiting, permits));
    let desk = fixture.desks[0].open(id).unwrap();
    let held = desk.try_lease().unwrap();
    let mut waiting = desk.join();
    drop(held);
    assert!(poll(&mut waiting).is_some());
}
