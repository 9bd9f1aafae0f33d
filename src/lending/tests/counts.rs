//! What is counted of a pool: whether leases found a token.

use super::*;
use crate::clock::{boot_millis, monotonic_millis};

/// Waits for the clock to say something else: what comes now is later than what came before.
fn pass_a_moment() {
    let now = monotonic_millis();
    while monotonic_millis() == now {
        std::thread::yield_now();
    }
}

fn hits_and_misses(fixture: &Fixture) -> (u64, u64) {
    let counts = fixture.stock.counts().expect("a pool of tokens is counted");
    (counts.hits, counts.misses)
}

#[test]
fn who_waits_for_a_holder_finds_a_token_and_who_waits_for_a_login_does_not() {
    let fixture = Fixture::new(1, 2);
    let [desk, other] = [0, 1].map(|at| Arc::clone(&fixture.desks[at]));
    pass_a_moment();
    let held = desk.try_lease().expect("it is free");
    let mut waiting = other.join();
    assert!(poll(&mut waiting).is_none());
    drop(held);
    other.answer_bell();
    let held = poll(&mut waiting).expect("it is its turn");
    assert_eq!(hits_and_misses(&fixture), (2, 0));
    // Its time is over, and another one comes while somebody waits.
    fixture.stock.take_out_of_use(held.slot());
    drop(held);
    let mut waiting = desk.join();
    assert!(poll(&mut waiting).is_none());
    pass_a_moment();
    fixture.install(0, "second");
    desk.answer_bell();
    let held = poll(&mut waiting).expect("there is one");
    assert_eq!(hits_and_misses(&fixture), (2, 1));
    // Turned down in mid-request, it is waited for as well.
    drop(held.refreshed(held.token_version()));
    assert_eq!(hits_and_misses(&fixture), (2, 2));
}

#[test]
fn the_last_use_of_a_slot_is_known() {
    let fixture = Fixture::new(2, 1);
    let lease = fixture.desks[0].try_lease().expect("it is free");
    assert_eq!(fixture.stock.last_used(lease.slot()), None);
    lease.count_use(crate::clock::monotonic_millis());
    let used = [0, 1].map(|slot| fixture.stock.last_used(SlotIndex::new(slot)).is_some());
    assert_eq!(used.iter().filter(|is_used| **is_used).count(), 1);
    assert!(fixture.stock.last_used(lease.slot()).is_some());
}

#[test]
fn numbers_outlive_worker_and_supervisor_and_a_limit_has_none() {
    let fixture = Fixture::new(1, 1);
    drop(fixture.desks[0].try_lease());
    let logins = fixture.stock.logins().expect("it is counted");
    logins.begin(1);
    logins.begin(boot_millis());
    logins.rests.add(1);
    let _ = fixture.stock.reclaim(fixture.desks[0].seat());
    let bells = fixture.stock.bells().try_clone().expect("bells");
    let next = Stock::new(Arc::clone(fixture.stock.region()), bells);
    let counts = next.counts().expect("it is counted");
    assert_eq!((counts.hits, counts.rests), (1, 1));
    assert!(counts.age.as_millis() > 0, "since the first begin");
    let limit = next.add_limit(9, 3).expect("there is room");
    assert!(limit.counts().is_none());
}
