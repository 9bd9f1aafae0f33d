//! What the death and the silence of workers leave behind.

use super::*;

#[test]
fn a_dead_workers_slots_and_places_are_free_again() {
    let mut fixture = Fixture::new(4, 2);
    let dead = Arc::clone(&fixture.desks[0]);
    let leases: Vec<_> = (0..4).map(|_| dead.try_lease().unwrap()).collect();
    let waiting = dead.join();
    let mut alive = fixture.desks[1].join();
    // The process is gone: nothing of it is ever dropped.
    leases.into_iter().for_each(std::mem::forget);
    std::mem::forget(waiting);
    let seat = dead.seat();
    assert_eq!(fixture.stock.reclaim(seat).leases, 4);
    fixture.desks[1].answer_bell();
    let lease = poll(&mut alive).expect("the next in line is served");
    fixture.assert_counts(1, 3, 0);
    let successor = fixture.hire();
    assert_eq!(successor.seat(), seat, "the seat is filled anew");
    assert!(successor.try_lease().is_some());
    drop(lease);
    let totals = fixture.stock.totals();
    assert_eq!(totals.acquisitions, totals.releases);
}

#[test]
fn a_ghosts_late_release_frees_nothing() {
    let mut fixture = Fixture::new(1, 1);
    let ghost = fixture.desks[0].try_lease().unwrap();
    fixture.stock.reclaim(fixture.desks[0].seat());
    let successor = fixture.hire();
    let held = successor.try_lease().unwrap();
    drop(ghost);
    fixture.assert_counts(1, 0, 0);
    assert!(successor.try_lease().is_none());
    drop(held);
}

#[test]
fn a_worker_that_does_not_respond_is_passed_by_and_keeps_its_place() {
    let fixture = Fixture::new(1, 2);
    let held = fixture.desks[1].try_lease().unwrap();
    let mut stopped = fixture.desks[0].join();
    let mut first = fixture.desks[1].join();
    let mut second = fixture.desks[1].join();
    drop(held);
    // Granted to the stopped worker, which takes nothing up.
    fixture.stock.pass_by(fixture.desks[0].seat());
    fixture.desks[1].answer_bell();
    let lease = poll(&mut first).expect("the next one that responds");
    // It runs again: it stands before the second.
    fixture.desks[0].heartbeat();
    drop(lease);
    fixture.answer_all_bells();
    let lease = poll(&mut stopped).expect("it kept its place");
    assert!(poll(&mut second).is_none());
    drop(lease);
    fixture.answer_all_bells();
    assert!(poll(&mut second).is_some());
}

#[test]
fn an_offer_to_a_worker_being_passed_by_goes_to_the_next_in_line() {
    let fixture = Fixture::new(1, 2);
    let held = fixture.desks[1].try_lease().unwrap();
    let mut stopped = fixture.desks[0].join();
    let mut next = fixture.desks[1].join();
    drop(held);
    // The supervisor died right after the mark; or the offer was made by one who had looked before it.
    let marked = fixture.stock.pool().seats[fixture.desks[0].seat().get()].update_word(|word| {
        Some(SeatWord {
            stalled: true,
            ..word
        })
    });
    assert!(marked);
    fixture.stock.sweep();
    fixture.desks[1].answer_bell();
    let lease = poll(&mut next).expect("the one that responds");
    fixture.desks[0].heartbeat();
    drop(lease);
    fixture.answer_all_bells();
    assert!(poll(&mut stopped).is_some());
}

#[test]
fn the_sweep_mends_what_a_dead_process_left_half_done() {
    let fixture = Fixture::new(2, 2);
    let pool = fixture.stock.pool();
    let mut waiting = {
        let held: Vec<_> = (0..2)
            .map(|_| fixture.desks[0].try_lease().unwrap())
            .collect();
        let waiting = fixture.desks[1].join();
        // Died after freeing the words, before setting the bits and serving the line.
        for lease in held {
            let word = pool.slots[lease.slot().get()].word();
            assert_eq!(
                pool.slots[lease.slot().get()].free(word.holder),
                Released::Idle
            );
            std::mem::forget(lease);
        }
        waiting
    };
    fixture.desks[1].answer_bell();
    assert!(poll(&mut waiting).is_none());
    fixture.stock.sweep();
    fixture.desks[1].answer_bell();
    let lease = poll(&mut waiting).expect("served after the sweep");
    // Died between offering a slot and granting it to a place that has gone since.
    let free = SlotIndex::new(1 - lease.slot().get());
    assert!(pool.slots[free.get()].offer(fixture.desks[0].seat(), Ticket::new(77)));
    fixture.stock.sweep();
    assert!(
        fixture.desks[0].try_lease().is_none(),
        "its maker may just be at it"
    );
    fixture.stock.sweep();
    assert!(fixture.desks[0].try_lease().is_some());
}

#[test]
fn sweeps_of_a_part_come_to_every_pool_in_turn() {
    let fixture = Fixture::new(1, 2);
    let limits = [1, 2].map(|key| fixture.stock.add_limit(key, 4).unwrap());
    let stocks = [&fixture.stock, &limits[0], &limits[1]];
    // A supervisor died between holding slots back and saying so.
    let hold_back = || {
        for stock in stocks {
            stock.pool().slots[0].hold_back();
        }
    };
    let held_back = || {
        stocks
            .map(|stock| u32::from(stock.pool().slots[0].word().held_back))
            .iter()
            .sum::<u32>()
    };
    hold_back();
    for left in [2, 1, 0] {
        fixture.stock.sweep_some(1);
        assert_eq!(held_back(), left);
    }
    // More than one pool's slots: the default pool has two.
    hold_back();
    fixture.stock.sweep_some(3);
    assert_eq!(held_back(), 1);
    fixture.stock.sweep_some(usize::MAX);
    assert_eq!(held_back(), 0);
    // Where the turn was stays good when its pool goes.
    fixture.stock.sweep_some(1);
    fixture.stock.remove_pool(limits[0].pool_id(), 0).unwrap();
    fixture.stock.sweep_some(1);
}
