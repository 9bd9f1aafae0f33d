//! The window of a seat: cleared and filled again by its worker while others look into it.

use super::*;

/// Seat 1 has a full window and `hidden` more waiters behind it, seat 2 has one who came last, and the only slot
/// is held by seat 3. Returns the two workers, the tickets of seat 1, and the lease.
fn full_window(words: &Words, hidden: usize) -> (Worker, Vec<Ticket>, Worker, (SlotIndex, Claim)) {
    let lease = words.claimed(3);
    let (mut long, mut last) = (Worker::new(1), Worker::new(2));
    let tickets = (0..WINDOW + hidden)
        .map(|_| long.join(&words.pool()))
        .collect();
    last.join(&words.pool());
    (long, tickets, last, lease)
}

/// Lets `leavers` leave while the slot is released, and says which ticket was served.
fn served_while_leaving(hidden: usize, leavers: &'static [usize]) -> (Option<usize>, usize) {
    let words = Words::new(1, 4);
    let (mut long, tickets, mut last, (slot, held)) = full_window(&words, hidden);
    let other = Arc::clone(&words);
    let leaving: Vec<_> = leavers.iter().map(|&at| tickets[at]).collect();
    let thread = thread::spawn(move || {
        for ticket in leaving {
            long.leave(&other.pool(), ticket);
        }
        long
    });
    let _ = words.pool().release(slot, held, &NoBells);
    let mut long = thread.join().unwrap();
    words.assert_nobody_forgotten();
    long.wake_up(&words.pool());
    last.wake_up(&words.pool());
    let served = long
        .served
        .first()
        .and_then(|served| tickets.iter().position(|ticket| ticket == served));
    (served, last.leases.len())
}

#[test]
fn loom_who_stands_behind_a_leaver_in_one_window_is_served() {
    loom::model(|| assert_eq!(served_while_leaving(0, &[0]), (Some(1), 0)));
}

#[test]
fn loom_a_place_cleared_and_filled_again_is_not_taken_for_the_front() {
    loom::model(|| assert_eq!(served_while_leaving(1, &[0]), (Some(1), 0)));
}

#[test]
fn loom_a_window_filled_anew_keeps_its_order() {
    loom::model(|| assert_eq!(served_while_leaving(2, &[1, 0]), (Some(2), 0)));
}

#[test]
fn loom_moving_up_into_the_window_loses_no_rank() {
    loom::model(|| assert_eq!(served_while_leaving(1, &[1, 0]), (Some(2), 0)));
}

#[test]
fn loom_a_hidden_one_who_leaves_lets_the_next_one_pass() {
    loom::model(|| {
        let words = Words::new(1, 4);
        let (mut long, tickets, mut last, (slot, held)) = full_window(&words, 1);
        // Both shown places are served and not collected yet: only the hidden one waits in seat 1.
        for at in 0..WINDOW {
            words.places[WINDOW + at].store(
                Place::Granted(tickets[at], SlotIndex::new(1)).pack(),
                std::sync::atomic::Ordering::Release,
            );
        }
        let other = Arc::clone(&words);
        let hidden = tickets[WINDOW];
        let thread = thread::spawn(move || long.leave(&other.pool(), hidden));
        let _ = words.pool().release(slot, held, &NoBells);
        thread.join().unwrap();
        // Only what a bell makes it do: whoever left has served the line.
        last.collect(&words.pool());
        assert_eq!(last.leases.len(), 1, "nobody waits before it any more");
    });
}
