//! Leases and the line.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::*;

#[test]
fn a_free_slot_is_leased_once() {
    let fixture = Fixture::new(2, 2);
    let first = fixture.desks[0].try_lease().unwrap();
    let second = fixture.desks[1].try_lease().unwrap();
    assert_ne!(first.slot(), second.slot());
    assert!(fixture.desks[0].try_lease().is_none());
    fixture.assert_counts(2, 0, 0);
    drop(first);
    fixture.assert_counts(1, 1, 0);
}

#[test]
fn the_line_is_served_in_order_of_arrival_over_all_workers() {
    let fixture = Fixture::new(1, 3);
    let mut held = fixture.desks[0].try_lease();
    let mut line: Vec<_> = (0..100)
        .map(|n| (n, fixture.desks[n * 7 % 3].join()))
        .collect();
    fixture.assert_counts(1, 0, 100);
    for turn in 0..100 {
        drop(held.take());
        fixture.answer_all_bells();
        let served = line
            .iter_mut()
            .find_map(|(n, waiting)| Some((*n, poll(waiting)?)));
        let (n, lease) = served.expect("somebody is served");
        assert_eq!(n, turn, "served out of turn");
        drop(line.remove(0));
        held = Some(lease);
    }
}

#[test]
fn a_line_longer_than_the_window_keeps_its_order() {
    let fixture = Fixture::new(3, 2);
    let held: Vec<_> = (0..3)
        .map(|_| fixture.desks[0].try_lease().unwrap())
        .collect();
    let mut line: Vec<_> = (0..3 * 1024)
        .map(|n| fixture.desks[usize::from(n % 3 == 0)].join())
        .collect();
    fixture.assert_counts(3, 0, 3 * 1024);
    drop(held);
    for chunk in line.chunks_mut(3) {
        fixture.answer_all_bells();
        let leases: Vec<_> = chunk
            .iter_mut()
            .map(|waiting| poll(waiting).expect("next in line"))
            .collect();
        drop(leases);
    }
    fixture.assert_counts(0, 3, 0);
}

#[test]
fn a_line_of_65_536_is_served_in_order_by_4_096_slots() {
    const SLOTS: usize = 4096;
    const WAITING: usize = 65_536;
    let fixture = Fixture::new(SLOTS, 2);
    let mut held: Vec<_> = (0..SLOTS)
        .map(|n| fixture.desks[n % 2].try_lease().expect("a free slot"))
        .collect();
    let mut line: Vec<_> = (0..WAITING).map(|n| fixture.desks[n % 2].join()).collect();
    fixture.assert_counts(SLOTS as u64, 0, WAITING as u64);
    for (turn, next) in line.chunks_mut(SLOTS).enumerate() {
        held.clear();
        // A window that was served whole shows the next of its line when its bell is answered.
        while fixture.stock.pool().census().available > 0 {
            fixture.answer_all_bells();
        }
        fixture.answer_all_bells();
        held.extend(
            next.iter_mut()
                .map(|place| poll(place).expect("next in line")),
        );
        let waiting = WAITING - (turn + 1) * SLOTS;
        fixture.assert_counts(SLOTS as u64, 0, waiting as u64);
    }
    held.clear();
    fixture.assert_counts(0, SLOTS as u64, 0);
}

#[test]
fn a_newcomer_does_not_overtake() {
    let fixture = Fixture::new(1, 2);
    let held = fixture.desks[0].try_lease().unwrap();
    let mut first = fixture.desks[0].join();
    drop(held);
    assert!(
        fixture.desks[1].try_lease().is_none(),
        "the slot is the waiter's"
    );
    assert!(poll(&mut first).is_some());
}

#[test]
fn leaving_the_line_strands_nobody() {
    let fixture = Fixture::new(1, 2);
    let held = fixture.desks[0].try_lease().unwrap();
    let mut line: Vec<_> = (0..6).map(|n| fixture.desks[n % 2].join()).collect();
    let mut last = line.pop().unwrap();
    drop(line.remove(2));
    // The slot is granted to the first, which goes without ever having looked; so do all before the last.
    drop(held);
    drop(line);
    fixture.answer_all_bells();
    assert!(poll(&mut last).is_some());
    fixture.assert_counts(0, 1, 0);
}

#[test]
fn hidden_waiters_that_leave_do_not_hold_up_the_next() {
    let fixture = Fixture::new(1, 2);
    let held = fixture.desks[0].try_lease().unwrap();
    let line: Vec<_> = (0..1024 + 10).map(|_| fixture.desks[0].join()).collect();
    let mut last = fixture.desks[1].join();
    for waiting in line.into_iter().rev() {
        drop(waiting);
    }
    drop(held);
    fixture.answer_all_bells();
    assert!(poll(&mut last).is_some());
}

/// Threads that lease, wait, leave and release at random: a slot's check word sees two holders.
#[test]
fn no_slot_has_two_holders_and_none_is_lost() {
    const SLOTS: usize = 3;
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    let fixture = Fixture::new(SLOTS, 4);
    let holders: Arc<[AtomicBool; SLOTS]> = Arc::default();
    let served = AtomicU64::new(0);
    let hold = |lease: Lease| {
        let holder = &holders[lease.slot().get()];
        assert!(
            !holder.swap(true, Ordering::AcqRel),
            "two holders of slot {}",
            lease.slot()
        );
        served.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        assert!(holder.swap(false, Ordering::AcqRel));
    };
    thread::scope(|scope| {
        for (number, desk) in fixture.desks.iter().enumerate() {
            let hold = &hold;
            scope.spawn(move || {
                for round in 0..rounds {
                    if let Some(lease) = desk.try_lease() {
                        hold(lease);
                        continue;
                    }
                    let mut places: Vec<_> = (0..=round % 3).map(|_| desk.join()).collect();
                    if (round + number) % 5 == 0 {
                        places.pop();
                    }
                    while !places.is_empty() {
                        desk.answer_bell();
                        places.retain_mut(|place| poll(place).map(hold).is_none());
                        thread::yield_now();
                    }
                }
            });
        }
    });
    fixture.assert_counts(0, SLOTS as u64, 0);
    assert!(served.load(Ordering::Relaxed) > 0);
}
