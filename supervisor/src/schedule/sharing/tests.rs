use std::time::{Duration, Instant};

use super::super::*;

const SECOND: Duration = Duration::from_secs(1);
/// What one account's crowd of clients may hold.
const CROWD: u32 = 10_000;

/// `slots` slots of ann, one login for all.
fn shared(slots: u32, now: Instant) -> Schedule {
    let rules = Rules {
        ttl: 3600 * SECOND,
        refresh_check: 60 * SECOND,
        login_concurrency: 16,
    };
    let mut schedule = Schedule::new(rules, || 0.5);
    schedule.set_sharing(true);
    (0..slots).for_each(|slot| schedule.insert(slot, "ann", now));
    schedule
}

fn start_one(schedule: &mut Schedule, now: Instant) -> Login {
    let mut plan = schedule.plan(now);
    assert_eq!(plan.start.len(), 1, "{plan:?}");
    plan.start.remove(0)
}

/// Carries out the copies that are due; how many they were. Versions rise by one each time.
fn copy_all(schedule: &mut Schedule) -> usize {
    let copies = schedule.copies();
    for copy in &copies {
        let version = version(schedule, copy.to) + 1;
        schedule.copied(*copy, version);
    }
    copies.len()
}

fn version(schedule: &Schedule, slot: u32) -> u64 {
    let token = schedule.slots[&slot].token.as_ref();
    token.map_or(0, |token| token.version)
}

/// The same with a token in each slot that the server gave `expires_in`.
fn filled(slots: u32, expires_in: Duration, now: Instant) -> Schedule {
    let mut schedule = shared(slots, now);
    let login = start_one(&mut schedule, now);
    assert!(schedule.succeeded(login, 1, Some(expires_in), now));
    assert_eq!(copy_all(&mut schedule), slots as usize - 1);
    schedule
}

fn used(version: u64) -> Complaint {
    Complaint {
        version,
        has_served: true,
    }
}

fn all_usable(schedule: &Schedule, slots: u32) -> bool {
    (0..slots).all(|slot| schedule.view(slot).unwrap().state == SlotState::Usable)
}

#[test]
fn one_login_fills_all_slots_however_long_it_takes() {
    let start = Instant::now();
    let mut schedule = shared(CROWD, start);
    let login = start_one(&mut schedule, start);
    for seconds in [1, 10, 1000] {
        let now = start + seconds * SECOND;
        assert!(schedule.plan(now).start.is_empty(), "{seconds} s");
        assert!(schedule.copies().is_empty());
    }
    let now = start + 1000 * SECOND;
    assert!(schedule.succeeded(login, 1, None, now));
    assert_eq!(copy_all(&mut schedule), CROWD as usize - 1);
    assert!(all_usable(&schedule, CROWD));
    assert!(schedule.copies().is_empty(), "each is copied once");
    assert!(schedule.plan(now).start.is_empty());
}

#[test]
fn ten_thousand_complaints_at_the_end_of_one_token_are_one_login() {
    let start = Instant::now();
    let mut schedule = filled(CROWD, 7200 * SECOND, start);
    let now = start + 100 * SECOND;
    assert_eq!(schedule.suspect(7, used(1), now), Suspicion::Due);
    let login = start_one(&mut schedule, now);
    for slot in 0..CROWD {
        assert_eq!(schedule.suspect(slot, used(1), now), Suspicion::Known);
    }
    assert!(schedule.plan(now).start.is_empty(), "one flight");
    assert!(schedule.succeeded(login, 2, Some(7200 * SECOND), now));
    // What comes late is of the old token, be the new one copied already or not.
    assert_eq!(schedule.suspect(9, used(1), now), Suspicion::Stale);
    assert_eq!(copy_all(&mut schedule), CROWD as usize - 1);
    assert_eq!(schedule.suspect(9, used(1), now), Suspicion::Stale);
    assert!(all_usable(&schedule, CROWD));
}

#[test]
fn the_token_is_renewed_before_its_own_end_with_jitter_and_nobody_is_without_one() {
    let start = Instant::now();
    let mut schedule = filled(CROWD, 1000 * SECOND, start);
    let due = schedule.view(CROWD - 1).unwrap().next_login.unwrap();
    let after = due - start;
    assert!(after >= 750 * SECOND && after <= 900 * SECOND, "{after:?}");
    let login = start_one(&mut schedule, due);
    assert!(all_usable(&schedule, CROWD), "lent while it is renewed");
    assert!(schedule.succeeded(login, 2, Some(1000 * SECOND), due));
    assert!(
        all_usable(&schedule, CROWD),
        "the old one is good until it is replaced"
    );
    copy_all(&mut schedule);
    let plan = schedule.plan(start + 1000 * SECOND);
    assert!(plan.ended.is_empty(), "the old one's end is no slot's");
}

#[test]
fn a_server_that_is_down_around_the_end_is_asked_by_one_slot_and_costs_nobody_a_good_token() {
    let start = Instant::now();
    let mut schedule = filled(100, 1000 * SECOND, start);
    let (mut now, mut tries) = (start, 0);
    let (down_from, down_until) = (start + 700 * SECOND, start + 1300 * SECOND);
    while now < start + 1400 * SECOND {
        let plan = schedule.plan(now);
        assert!(plan.start.len() <= 1);
        // Whoever has started one looks again when it has ended.
        let next_look = match plan.start.is_empty() {
            true => plan.next_look,
            false => now + SECOND / 100,
        };
        for login in plan.start {
            if now >= down_from && now < down_until {
                tries += 1;
                assert!(schedule.failed(login, Failure::Trouble, now));
            } else {
                assert!(schedule.succeeded(login, 2, Some(1000 * SECOND), now));
            }
        }
        copy_all(&mut schedule);
        let is_over = now >= start + 1000 * SECOND && now < down_until;
        assert_eq!(all_usable(&schedule, 100), !is_over, "{:?}", now - start);
        if all_usable(&schedule, 100) && now >= down_until {
            break;
        }
        now = next_look;
    }
    assert!(now < start + 1310 * SECOND, "{:?}", now - start);
    assert!((10..400).contains(&tries), "{tries}");
}

#[test]
fn a_refused_account_is_asked_for_once() {
    let start = Instant::now();
    let mut schedule = shared(50, start);
    let login = start_one(&mut schedule, start);
    assert!(schedule.failed(login, Failure::Refused, start));
    assert!(schedule.plan(start + 299 * SECOND).start.is_empty());
    assert_eq!(schedule.all_refused(), Some(1));
    assert_eq!(schedule.plan(start + 331 * SECOND).start.len(), 1);
}

#[test]
fn a_spent_token_is_put_in_use_again_without_a_login() {
    let now = Instant::now();
    let mut schedule = filled(3, 7200 * SECOND, now);
    for slot in [0, 2] {
        assert!(!schedule.renew_spent(slot, now), "no login");
        let copies = schedule.copies();
        assert_eq!(copies.len(), 1);
        assert_eq!(copies[0].to, slot);
        schedule.copied(copies[0], 5);
        assert_eq!(version(&schedule, slot), 5);
    }
    for slot in 0..3 {
        schedule.renew_spent(slot, now);
    }
    assert_eq!(copy_all(&mut schedule), 3, "all at once too");
    assert!(schedule.plan(now).start.is_empty());
}

#[test]
fn a_turned_down_token_is_not_handed_on() {
    let now = Instant::now();
    let mut schedule = filled(3, 7200 * SECOND, now);
    schedule.renew_spent(1, now);
    assert_eq!(schedule.suspect(2, used(1), now), Suspicion::Due);
    assert!(schedule.copies().is_empty());
}

#[test]
fn sessions_that_are_added_get_the_token_that_there_is() {
    let now = Instant::now();
    let mut schedule = filled(3, 7200 * SECOND, now);
    // Below the slot that logs in for all, and above it.
    schedule.remove(0);
    schedule.insert(0, "ann", now);
    schedule.insert(3, "ann", now);
    let to: Vec<_> = schedule.copies().iter().map(|copy| copy.to).collect();
    assert_eq!(to, [0, 3]);
    copy_all(&mut schedule);
    assert!(all_usable(&schedule, 4));
    assert!(schedule.plan(now).start.is_empty());
}

#[test]
fn a_server_found_to_give_one_token_is_asked_once_from_then_on() {
    let now = Instant::now();
    let mut schedule = shared(3, now);
    schedule.set_sharing(false);
    for _ in 0..2 {
        for login in schedule.plan(now).start {
            assert!(schedule.succeeded(login, 1, Some(1000 * SECOND), now));
        }
    }
    assert!(all_usable(&schedule, 3));
    schedule.found_shared(1);
    let due = now + 1000 * SECOND;
    assert_eq!(schedule.plan(due).start.len(), 1);
}

#[test]
fn a_spared_key_rests_in_all_its_slots_and_comes_back_by_itself() {
    let now = Instant::now();
    let mut schedule = filled(2, 7200 * SECOND, now);
    (2..4).for_each(|slot| schedule.insert(slot, "bob", now));
    let login = start_one(&mut schedule, now);
    assert!(schedule.succeeded(login, 1, None, now));
    copy_all(&mut schedule);
    assert_eq!(schedule.spare(1, now + 30 * SECOND), [0, 1]);
    assert!(schedule.spare(0, now + 29 * SECOND).is_empty(), "known");
    assert_eq!(schedule.all_spared(), None, "bob's is good");
    assert!(schedule.copies().is_empty());
    assert!(schedule.plan(now + 29 * SECOND).start.is_empty());
    assert_eq!(schedule.spare(2, now + 20 * SECOND), [2, 3]);
    assert_eq!(schedule.all_spared(), Some(now + 20 * SECOND), "the first");
    let login = start_one(&mut schedule, now + 20 * SECOND);
    assert!(schedule.succeeded(login, 3, None, now + 20 * SECOND));
    copy_all(&mut schedule);
    assert_eq!(schedule.all_spared(), None);
    let login = start_one(&mut schedule, now + 30 * SECOND);
    assert!(schedule.succeeded(login, 3, None, now + 30 * SECOND));
    copy_all(&mut schedule);
    assert!(all_usable(&schedule, 4));
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let start = Instant::now();
    let mut schedule = shared(2, start);
    let login = start_one(&mut schedule, start);
    let slot = login.slot;
    assert!(schedule.failed(login, Failure::Busy, start));
    schedule.asked_to_wait(slot, 90 * SECOND, start);
    assert!(schedule.plan(start + 89 * SECOND).start.is_empty());
    assert_eq!(schedule.plan(start + 90 * SECOND).start.len(), 1);
}
