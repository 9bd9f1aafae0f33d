//! The pool on a real region: several desks of one process stand for several workers.

mod rows;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use crate::{
    bells::BellBoard,
    ids::{Origin, SlotIndex, Ticket},
    pool::Released,
    region::{Geometry, Region},
    roster::SeatWord,
};

use super::*;

/// Where all tokens come from.
const ORIGIN: Origin = Origin::new(7);

/// A supervisor and workers around one region of `slots` slots, all stocked.
struct Fixture {
    stock: Stock,
    desks: Vec<Arc<Desk>>,
}

impl Fixture {
    fn new(slots: usize, workers: usize) -> Self {
        let geometry = Geometry {
            slots: slots.max(64),
            seats: 4,
            token_bytes: 256,
        };
        let region = Arc::new(Region::with_room(geometry, 1 << 20).expect("a region"));
        region.set_slots_used(slots);
        let bells = BellBoard::create(geometry.seats).expect("bells");
        let stock = Stock::new(region, bells);
        let mut fixture = Self {
            stock,
            desks: Vec::new(),
        };
        for slot in 0..slots {
            fixture.install(slot, "first");
        }
        for _ in 0..workers {
            fixture.hire();
        }
        fixture
    }

    fn install(&self, slot: usize, text: &str) {
        let token = format!("{text} token of slot {slot}");
        self.stock
            .install(SlotIndex::new(slot), token.as_bytes(), ORIGIN)
            .expect("it fits");
    }

    fn hire(&mut self) -> Arc<Desk> {
        let (seat, epoch) = self.stock.fill_seat(0).expect("a vacant seat");
        let bells = self.stock.bells().try_clone().expect("bells");
        let desk = Desk::new(Arc::clone(self.stock.region()), bells, seat, epoch);
        desk.set_ready();
        self.desks.push(Arc::clone(&desk));
        desk
    }

    fn answer_all_bells(&self) {
        self.desks.iter().for_each(|desk| desk.answer_bell());
    }

    #[track_caller]
    fn assert_counts(&self, in_use: u64, available: u64, waiting: u64) {
        let census = self.stock.pool().census();
        assert_eq!(
            (census.in_use, census.available, census.waiting),
            (in_use, available, waiting)
        );
        assert_eq!(census.usable, in_use + available);
    }
}

fn poll(waiting: &mut Waiting) -> Option<Lease> {
    match pin!(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(lease) => Some(lease),
        Poll::Pending => None,
    }
}

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
fn a_refresh_changes_the_token_under_a_lease_and_never_the_slot() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let mut token = Vec::new();
    let (version, origin) = lease.read_token(&mut token);
    assert_eq!(
        (&token[..], origin),
        (&b"first token of slot 0"[..], ORIGIN)
    );
    let mut refreshed = lease.refreshed(version);
    let mut look = |cx: &mut Context<'_>| pin!(&mut refreshed).poll(cx);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(fixture.stock.is_suspect(lease.slot()));
    assert_eq!(look(&mut cx), Poll::Pending);
    fixture.install(0, "second");
    assert_eq!(look(&mut cx), Poll::Ready(true));
    assert!(!fixture.stock.is_suspect(lease.slot()));
    assert!(lease.read_token(&mut token).0 > version);
    assert_eq!(token, b"second token of slot 0");
}

#[test]
fn a_failed_login_ends_the_wait_for_a_new_token() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let mut refreshed = lease.refreshed(lease.token_version());
    fixture.stock.login_failed(lease.slot());
    let outcome = pin!(&mut refreshed).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(outcome, Poll::Ready(false));
}

#[test]
fn a_slot_out_of_use_is_lent_to_nobody_else() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    fixture.stock.take_out_of_use(lease.slot());
    let census = fixture.stock.pool().census();
    assert_eq!((census.usable, census.retiring), (0, 1));
    assert!(!fixture.stock.wipe(lease.slot()), "somebody holds it");
    let mut waiting = fixture.desks[0].join();
    let slot = lease.slot();
    drop(lease);
    assert!(poll(&mut waiting).is_none());
    assert!(fixture.stock.wipe(slot));
    fixture.install(0, "new");
    fixture.answer_all_bells();
    assert!(poll(&mut waiting).is_some());
}

#[test]
fn a_spent_token_is_lent_to_nobody_until_there_is_a_new_one() {
    let fixture = Fixture::new(1, 2);
    let slot = SlotIndex::new(0);
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    let mut lease = one.try_lease().unwrap();
    lease.mark_spent(lease.token_version());
    assert!(!fixture.stock.is_spent(slot), "not as long as it is held");
    drop(lease);
    assert!(fixture.stock.is_spent(slot) && two.try_lease().is_none());
    fixture.stock.sweep();
    assert!(two.try_lease().is_none(), "a sweep changes nothing");
    fixture.stock.install(slot, b"new", ORIGIN).unwrap();
    assert!(!fixture.stock.is_spent(slot));
    // One that was replaced while it was held is spent no more, nor is one that was found sound.
    for replace in [true, false] {
        let mut lease = two.try_lease().unwrap();
        lease.mark_spent(lease.token_version());
        if replace {
            fixture.stock.install(slot, b"newer", ORIGIN).unwrap();
        } else {
            lease.mark_sound();
        }
        drop(lease);
        assert!(!fixture.stock.is_spent(slot));
    }
    // Who dies has said it all the same.
    let mut lease = one.try_lease().unwrap();
    lease.mark_spent(lease.token_version());
    fixture.stock.reclaim(one.seat());
    assert!(fixture.stock.is_spent(slot) && two.try_lease().is_none());
    drop(lease);
    assert!(fixture.stock.is_spent(slot));
}

#[test]
fn an_offer_whose_token_became_unusable_is_not_taken_up() {
    let fixture = Fixture::new(2, 2);
    let held: Vec<_> = (0..2)
        .map(|_| fixture.desks[0].try_lease().unwrap())
        .collect();
    let mut waiting = fixture.desks[1].join();
    let (mut first, rest) = (None, held);
    let mut rest = rest.into_iter();
    first.replace(rest.next().unwrap());
    let slot = first.as_ref().unwrap().slot();
    drop(first);
    fixture.stock.take_out_of_use(slot);
    fixture.desks[1].answer_bell();
    assert!(
        poll(&mut waiting).is_none(),
        "the offer was void, the place is kept"
    );
    fixture.assert_counts(1, 0, 1);
    drop(rest);
    fixture.desks[1].answer_bell();
    assert!(poll(&mut waiting).is_some());
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

#[test]
fn a_reader_never_sees_half_a_token() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..if cfg!(miri) { 50 } else { 20_000_usize } {
                let letter = b'a' + (round % 26) as u8;
                let token = vec![letter; 1 + round % 200];
                // Of its own origin, too: neither is ever seen with the other's.
                let origin = Origin::new(u64::from(letter));
                fixture
                    .stock
                    .install(SlotIndex::new(0), &token, origin)
                    .unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let (mut token, mut last) = (Vec::new(), 0);
        while !done.load(Ordering::Acquire) {
            let (version, origin) = lease.read_token(&mut token);
            assert!(version >= last);
            last = version;
            let whole = token.iter().all(|&byte| u64::from(byte) == origin.get());
            assert!(
                whole || token.starts_with(b"first"),
                "{:?}",
                String::from_utf8_lossy(&token)
            );
        }
    });
}

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
    assert!(watch.is_ended() && lease.is_ended() && !lease.may_stamp());
    drop(lease);
    assert!(!watch.is_ended(), "it is over");
    let next = one.try_lease().unwrap();
    assert!(!next.is_ended() && next.may_stamp());
    fixture.stock.sweep();
    assert!(!next.is_ended());
}

#[test]
fn deadlines_hold_without_anybody_to_enforce_them() {
    let fixture = Fixture::new(1, 1);
    let desk = &fixture.desks[0];
    let lease = desk.try_lease().unwrap();
    let (past, future) = (1, u64::MAX);
    assert!(lease.may_stamp(), "no deadline");
    fixture.stock.set_deadlines(Some(future), Some(future));
    assert!(lease.may_stamp() && !lease.is_ended());
    fixture.stock.set_deadlines(Some(past), Some(future));
    assert!(!lease.may_stamp() && !lease.is_ended(), "it may go on");
    fixture.stock.set_deadlines(Some(past), Some(past));
    assert!(lease.is_ended() && desk.look_at_leases(&mut 0));
    fixture.stock.set_deadlines(None, None);
    assert!(lease.may_stamp() && !lease.is_ended());
}
