//! Seats whose workers die or stand still.

use super::*;

#[test]
fn loom_passing_a_seat_by_beside_a_grant_under_way_loses_neither() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(2);
        let mut slow = Worker::new(1);
        slow.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        words.pool().pass_by(SeatIndex::new(1), &NoBells);
        thread.join().unwrap();
        slow.wake_up(&words.pool());
        assert_eq!(slow.leases.len(), 1, "its only waiter has the only slot");
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_passing_a_seat_by_leaves_its_next_grant_alone() {
    loom::model(|| {
        let words = Words::new(2, 3);
        let (early, late) = (words.claimed(2), words.claimed(2));
        let mut slow = Worker::new(1);
        slow.join(&words.pool());
        let _ = words.pool().release(late.0, late.1, &NoBells);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            // It was not that slow after all.
            slow.wake_up(&other.pool());
            let _ = other.pool().release(early.0, early.1, &NoBells);
            slow
        });
        words.pool().pass_by(SeatIndex::new(1), &NoBells);
        let mut slow = thread.join().unwrap();
        slow.wake_up(&words.pool());
        assert_eq!(slow.leases.len(), 1);
        assert_eq!(words.free_slots(), 1, "the other slot is stranded");
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_who_waits_behind_one_passed_by_gets_the_slot_it_was_offered() {
    loom::model(|| {
        let words = Words::new(1, 4);
        let (slot, held) = words.claimed(3);
        let (mut slow, mut next) = (Worker::new(1), Worker::new(2));
        slow.join(&words.pool());
        next.join(&words.pool());
        let _ = words.pool().release(slot, held, &NoBells);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let mut late = Worker::new(3);
            late.join(&other.pool());
            late
        });
        words.pool().pass_by(SeatIndex::new(1), &NoBells);
        let _late = thread.join().unwrap();
        next.collect(&words.pool());
        assert_eq!(next.leases.len(), 1, "the one who stands keeps it");
    });
}

#[test]
fn loom_an_offer_to_one_just_passed_by_is_taken_back_by_the_next_sweep() {
    loom::model(|| {
        let words = Words::new(1, 4);
        let (slot, held) = words.claimed(3);
        let (mut slow, mut next) = (Worker::new(1), Worker::new(2));
        slow.join(&words.pool());
        next.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        words.pool().pass_by(SeatIndex::new(1), &NoBells);
        thread.join().unwrap();
        words.pool().sweep(&NoBells);
        next.collect(&words.pool());
        assert_eq!(next.leases.len(), 1, "the one who stands keeps it");
    });
}

/// One who looked at the line before the offer was made comes with the same slot after it was withdrawn.
#[test]
fn loom_an_offer_renewed_while_its_worker_gives_it_up_is_not_stranded() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(2);
        let mut slow = Worker::new(1);
        slow.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            other.pool().sweep(&NoBells);
            other.pool().pass_by(SeatIndex::new(1), &NoBells);
            slow.wake_up(&other.pool());
            slow
        });
        let _ = words.pool().release(slot, held, &NoBells);
        let mut slow = thread.join().unwrap();
        slow.wake_up(&words.pool());
        assert_eq!(slow.leases.len(), 1, "the slot is stranded");
    });
}

#[test]
fn loom_reclaiming_a_seat_beside_a_grant_to_it_frees_the_slot() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(2);
        Worker::new(1).join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        let _ = words.pool().reclaim(SeatIndex::new(1), &NoBells);
        thread.join().unwrap();
        assert_eq!(words.free_slots(), 1, "offered to the dead");
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_who_sees_a_seat_filled_anew_sees_it_clean() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let _held = words.claimed(2);
        let mut dead = Worker::new(1);
        for _ in 0..=WINDOW {
            dead.join(&words.pool());
        }
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            other.pool().window(SeatIndex::new(1)).clear();
            other.seats[1].set_word(SeatWord {
                state: SeatState::Starting,
                stalled: false,
                epoch: Epoch::new(2),
                pid: 0,
            });
        });
        if words.seats[1].word().epoch == Epoch::new(2) {
            let front = words.pool().window(SeatIndex::new(1)).front();
            assert_eq!(front, None, "one of the dead still waits");
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_free_slot_whose_marker_died_is_found_by_a_sweep() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (_, held) = words.claimed(2);
        let mut waiter = Worker::new(1);
        waiter.join(&words.pool());
        // It died between the slot's word and its bit.
        let _ = words.slots[0].release(held);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let mut late = Worker::new(2);
            late.join(&other.pool());
            late
        });
        let _ = words.pool().reclaim(SeatIndex::new(0), &NoBells);
        let _late = thread.join().unwrap();
        waiter.wake_up(&words.pool());
        assert_eq!(waiter.leases.len(), 1, "served in its order");
    });
}

#[test]
fn loom_an_offer_whose_maker_died_is_completed_by_a_sweep() {
    loom::model(|| {
        let words = Words::new(2, 3);
        let held = [words.claimed(2), words.claimed(2)];
        let mut waiter = Worker::new(1);
        let ticket = waiter.join(&words.pool());
        let _ = words.slots[0].release(held[0].1);
        // It died between the offer and the grant.
        assert!(words.slots[0].offer(SeatIndex::new(1), ticket));
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(held[1].0, held[1].1, &NoBells);
        });
        words.pool().sweep(&NoBells);
        thread.join().unwrap();
        waiter.wake_up(&words.pool());
        assert_eq!(waiter.leases.len(), 1);
        assert_eq!(words.free_slots(), 1, "a slot offered twice is stranded");
        words.assert_nobody_forgotten();
    });
}
