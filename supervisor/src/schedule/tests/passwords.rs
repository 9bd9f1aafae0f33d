//! Users: proven, refused, resting, on trial.

use super::*;

#[test]
fn all_users_are_refused_when_the_last_one_is_and_until_one_is_not() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 2), ("bob", 1)], now);
    assert_eq!(schedule.all_refused(), None);
    let [ann, bob] = <[Login; 2]>::try_from(schedule.plan(now).start).unwrap();
    assert!(schedule.failed(ann, Failure::Refused, now));
    assert_eq!(schedule.all_refused(), None);
    assert!(schedule.failed(bob, Failure::Refused, now));
    assert_eq!(schedule.all_refused(), Some(2));
    schedule.remove(2);
    assert_eq!(schedule.all_refused(), Some(1), "bob has no slot any more");
    let probe = start_one(&mut schedule, now + 300 * SECOND);
    assert_eq!(schedule.all_refused(), Some(1), "a try is no success");
    assert!(schedule.succeeded(probe, 1, None, now + 300 * SECOND));
    assert_eq!(schedule.all_refused(), None);
    assert_eq!(Schedule::new(rules(), || 0.0).all_refused(), None);
}

#[test]
fn a_predecessors_rest_is_kept_and_a_new_password_ends_it() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 2)], now);
    schedule.rest("ann", now, now + 200 * SECOND);
    schedule.rest("nobody", now, now + 200 * SECOND);
    assert_eq!(schedule.resting_until(0), Some(now + 200 * SECOND));
    assert!(started(&mut schedule, now + 199 * SECOND).is_empty());
    assert_eq!(schedule.all_refused(), Some(1));
    schedule.password_changed("ann", now);
    assert_eq!(schedule.resting_until(0), None);
    assert_eq!(started(&mut schedule, now), [0]);
}

#[test]
fn suspects_behind_a_first_login_wait_for_it_and_are_told_when_it_fails() {
    let start = Instant::now();
    let mut schedule = Schedule::new(rules(), || 0.0);
    (0..3).for_each(|slot| schedule.adopt(slot, "ann", 1, start, None));
    let now = start + 10 * SECOND;
    schedule.doubt_passwords(now);
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Due);
    let login = start_one(&mut schedule, now);
    assert_eq!(schedule.suspect(1, used(1), now), Suspicion::Due);
    assert_eq!(
        schedule.put_off_with(0),
        [0; 0],
        "a login is under way that will tell"
    );
    assert!(schedule.failed(login, Failure::Refused, now));
    assert_eq!(schedule.put_off_with(0), [1]);
    assert_eq!(schedule.suspect(2, used(1), now), Suspicion::Delayed);
}

#[test]
fn a_password_not_yet_proven_is_tried_by_one_slot() {
    let now = Instant::now();
    let mut schedule = schedule(0.5, &[("ann", 20), ("bob", 20)], now);
    let plan = schedule.plan(now);
    assert_eq!(
        plan.start
            .iter()
            .map(|login| login.slot)
            .collect::<Vec<_>>(),
        [0, 20]
    );
    let [ann, _bob] = <[Login; 2]>::try_from(plan.start).unwrap();
    assert!(schedule.succeeded(ann, 1, None, now));
    assert_eq!(
        started(&mut schedule, now),
        (1..16).collect::<Vec<_>>(),
        "proven: as many as there are places"
    );
}

#[test]
fn a_first_login_that_hangs_does_not_hold_its_user_up_for_ever() {
    let now = Instant::now();
    let mut schedule = schedule(0.5, &[("ann", 20)], now);
    let plan = schedule.plan(now);
    assert_eq!((plan.start.len(), plan.next_look), (1, now + 5 * SECOND));
    assert_eq!(started(&mut schedule, now + 5 * SECOND), [1]);
    assert!(started(&mut schedule, now + 9 * SECOND).is_empty());
}

#[test]
fn a_refused_password_is_not_retried_soon() {
    let now = Instant::now();
    for (share, rest) in [(0.0, 300), (1.0, 330)] {
        let mut schedule = schedule(share, &[("ann", 50)], now);
        let login = start_one(&mut schedule, now);
        assert!(schedule.failed(login, Failure::Refused, now));
        for slot in 0..50 {
            assert_eq!(state(&schedule, slot), SlotState::Refused);
            assert!(schedule.view(slot).unwrap().next_login.unwrap() >= now + rest * SECOND);
        }
        assert!(started(&mut schedule, now + (rest - 1) * SECOND).is_empty());
        let probe = start_one(&mut schedule, now + rest * SECOND);
        assert!(
            started(&mut schedule, now + 2 * rest * SECOND).is_empty(),
            "one tries for all"
        );
        assert!(schedule.failed(probe, Failure::Refused, now + rest * SECOND));
        assert!(started(&mut schedule, now + (2 * rest - 1) * SECOND).is_empty());
    }
}

#[test]
fn one_good_login_frees_all_slots_of_a_refused_user() {
    let start = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 10)], start);
    let login = start_one(&mut schedule, start);
    assert!(schedule.failed(login, Failure::Refused, start));
    let now = start + 300 * SECOND;
    let probe = start_one(&mut schedule, now);
    assert!(schedule.succeeded(probe, 1, None, now));
    assert_eq!(started(&mut schedule, now).len(), 9);
}

#[test]
fn a_refused_user_disturbs_nobody_else_and_keeps_its_good_tokens() {
    let start = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 2), ("bob", 2)], start);
    let [ann, bob] = <[Login; 2]>::try_from(schedule.plan(start).start).unwrap();
    assert!(schedule.succeeded(ann, 1, None, start));
    assert!(schedule.succeeded(bob, 1, None, start));
    let plan = schedule.plan(start);
    let [ann, bob] = <[Login; 2]>::try_from(plan.start).unwrap();
    assert!(schedule.failed(ann, Failure::Refused, start));
    assert!(schedule.succeeded(bob, 1, None, start));
    let states: Vec<_> = (0..4).map(|slot| state(&schedule, slot)).collect();
    assert_eq!(
        states,
        [
            SlotState::Usable,
            SlotState::Refused,
            SlotState::Usable,
            SlotState::Usable
        ]
    );
    let now = start + 10 * SECOND;
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Delayed);
    assert_eq!(schedule.suspect(2, used(1), now), Suspicion::Due);
    assert_eq!(state(&schedule, 0), SlotState::Refused);
    assert_eq!(started(&mut schedule, now), [2]);
}

#[test]
fn a_success_begun_before_the_refusal_frees_the_user_but_not_the_refused_slot() {
    let start = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 3)], start);
    let first = start_one(&mut schedule, start);
    assert!(schedule.succeeded(first, 1, None, start));
    let [second, third] = <[Login; 2]>::try_from(schedule.plan(start).start).unwrap();
    let now = start + SECOND;
    assert!(schedule.failed(second, Failure::Refused, now));
    assert!(schedule.succeeded(third, 1, None, now));
    assert_eq!(state(&schedule, 1), SlotState::Refused);
    assert!(started(&mut schedule, now).is_empty());
    assert_eq!(started(&mut schedule, now + 300 * SECOND), [1]);
}

#[test]
fn trouble_of_a_probe_neither_frees_nor_hammers_the_refused_user() {
    let start = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 10)], start);
    let login = start_one(&mut schedule, start);
    assert!(schedule.failed(login, Failure::Refused, start));
    let now = start + 300 * SECOND;
    let probe = start_one(&mut schedule, now);
    assert!(schedule.failed(probe, Failure::Trouble, now));
    assert!(started(&mut schedule, now).is_empty());
    start_one(&mut schedule, now + SECOND);
}

#[test]
fn a_new_password_is_tried_at_once_and_an_old_refusal_is_not_held_against_it() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 10)], now);
    let first = start_one(&mut schedule, now);
    assert!(schedule.failed(first, Failure::Refused, now));
    schedule.password_changed("ann", now);
    assert_eq!(state(&schedule, 0), SlotState::Empty);
    let stale = start_one(&mut schedule, now);
    schedule.password_changed("ann", now);
    assert!(schedule.failed(stale, Failure::Refused, now));
    start_one(&mut schedule, now);
}
