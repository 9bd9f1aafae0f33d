//! Meetings of the moves that workers and the supervisor make all the time.

use super::*;

#[test]
fn loom_two_newcomers_never_share_a_slot() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || other.pool().try_claim(claim(1, 1)).is_some());
        let ours = words.pool().try_claim(claim(2, 1)).is_some();
        let theirs = thread.join().unwrap();
        assert!(ours ^ theirs, "exactly one has it: {ours} {theirs}");
    });
}

#[test]
fn loom_a_release_and_a_join_that_meet_lose_no_wake() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let joiner = Arc::clone(&words);
        let thread = thread::spawn(move || {
            Worker::new(2).join(&joiner.pool());
        });
        assert_eq!(words.pool().release(slot, held, &NoBells), Released::Idle);
        thread.join().unwrap();
        words.assert_nobody_forgotten();
        assert_eq!(words.waiting_places(), 0, "the joiner was served");
    });
}

#[test]
fn loom_two_joins_at_one_slot_serve_one_and_keep_the_other() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let mut worker = Worker::new(1);
            worker.join(&other.pool());
            worker.collect(&other.pool());
            worker.leases.len()
        });
        let mut worker = Worker::new(2);
        worker.join(&words.pool());
        let theirs = thread.join().unwrap();
        worker.collect(&words.pool());
        assert!(theirs + worker.leases.len() <= 1, "one slot, one lease");
        words.assert_nobody_forgotten();
        assert_eq!(words.free_slots(), 0);
    });
}

#[test]
fn loom_leaving_at_the_moment_of_a_grant_strands_nobody() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let (mut leaver, mut next) = (Worker::new(1), Worker::new(2));
        let ticket = leaver.join(&words.pool());
        next.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || leaver.leave(&other.pool(), ticket));
        assert_eq!(words.pool().release(slot, held, &NoBells), Released::Idle);
        thread.join().unwrap();
        words.assert_nobody_forgotten();
        next.collect(&words.pool());
        assert_eq!(next.leases.len(), 1, "the one behind is served");
    });
}

#[test]
fn loom_two_releases_serve_two_waiters() {
    loom::model(|| {
        let words = Words::new(2, 3);
        let first = words.claimed(1);
        let second = words.claimed(2);
        let mut worker = Worker::new(1);
        worker.join(&words.pool());
        worker.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(first.0, first.1, &NoBells);
        });
        let _ = words.pool().release(second.0, second.1, &NoBells);
        thread.join().unwrap();
        worker.collect(&words.pool());
        assert_eq!(worker.leases.len(), 2);
        assert_ne!(worker.leases[0].0, worker.leases[1].0, "two slots");
    });
}

#[test]
fn loom_a_full_window_hides_nobody_for_good() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let mut long = Worker::new(1);
        let (slot, held) = words.claimed(2);
        // Shown, shown, hidden: WINDOW is 2 here.
        let first = long.join(&words.pool());
        let second = long.join(&words.pool());
        let hidden = long.join(&words.pool());
        let mut last = Worker::new(2);
        last.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            for ticket in [first, hidden, second] {
                long.leave(&other.pool(), ticket);
            }
        });
        let _ = words.pool().release(slot, held, &NoBells);
        thread.join().unwrap();
        words.assert_nobody_forgotten();
        last.collect(&words.pool());
        assert_eq!(
            last.leases.len(),
            1,
            "the last one is served when all before it have left"
        );
    });
}

#[test]
fn loom_reclaiming_a_dead_seat_beside_a_release_strands_nobody() {
    loom::model(|| {
        let words = Words::new(1, 4);
        let (slot, held) = words.claimed(2);
        // Its process ended while it waited.
        Worker::new(1).join(&words.pool());
        let mut alive = Worker::new(3);
        alive.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        let _ = words.pool().reclaim(SeatIndex::new(1), &NoBells);
        thread.join().unwrap();
        words.assert_nobody_forgotten();
        alive.collect(&words.pool());
        assert_eq!(alive.leases.len(), 1);
    });
}

#[test]
fn loom_a_ghosts_release_beside_its_reclaim_frees_once() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let other = Arc::clone(&words);
        let thread =
            thread::spawn(move || other.pool().release(slot, held, &NoBells) != Released::NotHeld);
        let reclaimed = words.pool().reclaim(SeatIndex::new(1), &NoBells).leases == 1;
        assert!(thread.join().unwrap() ^ reclaimed, "freed once");
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_passing_a_seat_by_beside_its_collecting_leaves_one_holder() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(2);
        let mut slow = Worker::new(1);
        slow.join(&words.pool());
        let _ = words.pool().release(slot, held, &NoBells);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            slow.collect(&other.pool());
            // Its heart beats again, and it serves the line, as `Desk::heartbeat` does.
            let _ = other.pool().seats[1].beat(1);
            other.pool().dispatch(&NoBells);
            slow
        });
        words.pool().pass_by(SeatIndex::new(1), &NoBells);
        let mut slow = thread.join().unwrap();
        let _ = words.seats[1].beat(2);
        words.pool().sweep(&NoBells);
        slow.collect(&words.pool());
        assert_eq!(slow.leases.len(), 1, "its only waiter has the only slot");
        assert_eq!(words.free_slots(), 0);
    });
}

#[test]
fn loom_a_sweep_at_any_moment_does_no_harm() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let mut worker = Worker::new(1);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            worker.join(&other.pool());
            worker.collect(&other.pool());
            worker
        });
        words.pool().sweep(&NoBells);
        let mut worker = thread.join().unwrap();
        worker.collect(&words.pool());
        assert_eq!(worker.leases.len(), 1);
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_taking_a_slot_out_of_use_beside_a_release_leaves_it_unlent() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let mut waiter = Worker::new(2);
        waiter.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        words.slots[0].take_out_of_use();
        thread.join().unwrap();
        waiter.collect(&words.pool());
        assert!(waiter.leases.is_empty(), "its token may not be lent");
        // Put in use again, it goes to the one who waits.
        if words.slots[0].put_in_use() {
            words.pool().bitmap.set(slot);
            words.pool().dispatch(&NoBells);
        }
        waiter.collect(&words.pool());
        assert_eq!(waiter.leases.len(), 1);
    });
}

#[test]
fn loom_the_order_of_two_waiters_holds_over_two_workers() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(2);
        let (mut first, mut second) = (Worker::new(1), Worker::new(2));
        first.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            second.join(&other.pool());
            second.collect(&other.pool());
            second.leases.len()
        });
        let _ = words.pool().release(slot, held, &NoBells);
        assert_eq!(thread.join().unwrap(), 0, "overtaken by one who came later");
        first.collect(&words.pool());
        assert_eq!(first.leases.len(), 1);
    });
}

#[test]
fn loom_a_newcomer_does_not_overtake_the_one_who_waits() {
    loom::model(|| {
        let words = Words::new(1, 4);
        let (slot, held) = words.claimed(1);
        let mut waiter = Worker::new(2);
        waiter.join(&words.pool());
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || {
            let _ = other.pool().release(slot, held, &NoBells);
        });
        assert_eq!(words.pool().try_claim(claim(3, 1)), None, "overtaken");
        thread.join().unwrap();
        waiter.collect(&words.pool());
        assert_eq!(waiter.leases.len(), 1);
    });
}
