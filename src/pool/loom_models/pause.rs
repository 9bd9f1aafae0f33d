//! A pool is paused, resumed, and a lease taken back, while others lease and wait.

use super::*;

#[test]
fn loom_a_pause_beside_a_newcomer_leaves_no_slot_to_be_had() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let other = Arc::clone(&words);
        let newcomer = thread::spawn(move || other.pool().try_claim(claim(1, 1)));
        words.pool().pause();
        let taken = newcomer.join().unwrap();
        if let Some(slot) = taken {
            let _ = words.pool().release(slot, claim(1, 1), &NoBells);
        }
        words.pool().sweep(&NoBells);
        assert!(words.pool().try_claim(claim(2, 1)).is_none(), "paused");
    });
}

#[test]
fn loom_a_resume_and_a_join_that_meet_lose_no_wake() {
    loom::model(|| {
        let words = Words::new(1, 3);
        words.pool().pause();
        let other = Arc::clone(&words);
        let joiner = thread::spawn(move || {
            Worker::new(2).join(&other.pool());
        });
        words.pool().resume(&NoBells);
        joiner.join().unwrap();
        words.assert_nobody_forgotten();
        assert_eq!(words.waiting_places(), 0, "the joiner was served");
    });
}

#[test]
fn loom_a_resume_beside_a_release_loses_no_slot() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        words.pool().pause();
        let other = Arc::clone(&words);
        let holder = thread::spawn(move || other.pool().release(slot, held, &NoBells));
        words.pool().resume(&NoBells);
        let _ = holder.join().unwrap();
        words.assert_nobody_forgotten();
        assert!(words.pool().try_claim(claim(2, 1)).is_some());
    });
}

#[test]
fn loom_what_was_on_offer_when_the_pool_was_paused_is_taken_up_afterwards() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let mut waiter = Worker::new(2);
        waiter.join(&words.pool());
        let other = Arc::clone(&words);
        let holder = thread::spawn(move || other.pool().release(slot, held, &NoBells));
        words.pool().pause();
        waiter.collect(&words.pool());
        let _ = holder.join().unwrap();
        words.pool().resume(&NoBells);
        waiter.wake_up(&words.pool());
        assert_eq!(waiter.leases.len(), 1, "it kept its place");
        words.assert_nobody_forgotten();
    });
}

#[test]
fn loom_a_hold_back_by_an_old_look_is_put_right_by_the_next_sweep() {
    loom::model(|| {
        let words = Words::new(1, 3);
        words.pool().pause();
        // A worker that looked when the time was over, beside the supervisor that has more of it.
        let other = Arc::clone(&words);
        let late = thread::spawn(move || other.pool().hold_back(|_| true));
        words.pool().resume(&NoBells);
        late.join().unwrap();
        words.pool().let_go(|_| true);
        words.pool().sweep(&NoBells);
        words.assert_nobody_forgotten();
        assert!(words.pool().try_claim(claim(2, 1)).is_some());
    });
}

#[test]
fn loom_the_end_of_a_lease_is_not_taken_for_the_next_ones() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        let other = Arc::clone(&words);
        let supervisor = thread::spawn(move || other.slots[0].end().is_some());
        let _ = words.pool().release(slot, held, &NoBells);
        let next = words.pool().try_claim(claim(2, 7)).is_some();
        let was_held = supervisor.join().unwrap();
        assert!(next);
        let ended = [held, claim(2, 7)].map(|claim| words.slots[0].is_ended(claim));
        assert!(!(ended[0] && ended[1]), "one lease at most is meant");
        assert_eq!(was_held, ended[0] || ended[1]);
    });
}

#[test]
fn loom_a_reclaim_of_two_pools_leaves_nothing_of_the_dead_in_either() {
    loom::model(|| {
        let words = [Words::new(1, 3), Words::new(1, 3)];
        let leases = [words[0].claimed(1), words[1].claimed(1)];
        // One roster for both.
        let other = words.clone();
        let joiner = thread::spawn(move || {
            let pool = Pool {
                seats: &other[0].seats,
                ..other[1].pool()
            };
            Worker::new(2).join(&pool);
        });
        let second = Pool {
            seats: &words[0].seats,
            ..words[1].pool()
        };
        let reclaimed = reclaim(&[words[0].pool(), second], SeatIndex::new(1), &NoBells);
        assert_eq!(reclaimed.leases, leases.len() as u64);
        joiner.join().unwrap();
        assert_eq!(words[0].seats[1].word().state, SeatState::Vacant);
        assert_eq!(words[0].free_slots(), 1);
        assert_eq!(words[1].waiting_places(), 0, "the joiner was served");
    });
}
