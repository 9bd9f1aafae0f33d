mod properties;
mod simulation;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        ttl: 3600 * SECOND,
        refresh_check: 60 * SECOND,
        login_concurrency: 16,
    }
}

/// A token turned down at its first use, and one that had served.
fn unused(version: u64) -> Complaint {
    Complaint {
        version,
        has_served: false,
    }
}

fn used(version: u64) -> Complaint {
    Complaint {
        version,
        has_served: true,
    }
}

/// A schedule whose dice always show `share`, with `slots` slots of each user.
fn schedule(share: f64, users: &[(&str, u32)], now: Instant) -> Schedule {
    let mut schedule = Schedule::new(rules(), move || share);
    let mut number = 0;
    for (user, slots) in users {
        for _ in 0..*slots {
            schedule.insert(number, user, now);
            number += 1;
        }
    }
    schedule
}

/// Dice that look random and show the same in each run.
fn seeded(mut state: u64) -> impl FnMut() -> f64 + Send + 'static {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 32) as u32) / f64::from(u32::MAX)
    }
}

/// The slots a plan at `now` starts.
fn started(schedule: &mut Schedule, now: Instant) -> Vec<u32> {
    schedule
        .plan(now)
        .start
        .iter()
        .map(|login| login.slot)
        .collect()
}

/// Starts the one login that is due.
fn start_one(schedule: &mut Schedule, now: Instant) -> Login {
    let mut plan = schedule.plan(now);
    assert_eq!(plan.start.len(), 1, "{plan:?}");
    plan.start.remove(0)
}

/// A slot of `ann` that logged in at `now`, with version 1.
fn with_token(share: f64, now: Instant) -> Schedule {
    let mut schedule = schedule(share, &[("ann", 1)], now);
    let login = start_one(&mut schedule, now);
    assert!(schedule.succeeded(login, 1, None, now));
    schedule
}

fn state(schedule: &Schedule, slot: u32) -> SlotState {
    schedule.view(slot).unwrap().state
}

#[test]
fn a_token_is_renewed_between_three_quarters_and_nine_tenths_of_its_ttl() {
    let now = Instant::now();
    for (share, due) in [(0.0, 2700), (0.5, 2970), (1.0, 3240)] {
        let mut schedule = with_token(share, now);
        assert_eq!(
            schedule.view(0).unwrap().next_login,
            Some(now + due * SECOND)
        );
        assert!(started(&mut schedule, now + (due - 1) * SECOND).is_empty());
        assert_eq!(started(&mut schedule, now + due * SECOND), [0]);
    }
}

#[test]
fn a_token_is_renewed_one_check_before_its_end_and_never_in_a_hurry() {
    for (ttl, check) in [(100, 20), (100, 60), (60, 60), (1, 60), (10, 0), (3600, 60)] {
        let (ttl, check) = (ttl * SECOND, check * SECOND);
        let rules = Rules {
            ttl,
            refresh_check: check,
            login_concurrency: 1,
        };
        let early = rules.lifetime(rules.ttl, &mut Dice::new(|| 0.0));
        let late = rules.lifetime(rules.ttl, &mut Dice::new(|| 1.0));
        assert!(early < late, "{ttl:?} {check:?}: no jitter");
        assert!(early >= ttl * 2 / 5, "{ttl:?} {check:?}: too early");
        assert!(late <= ttl * 9 / 10, "{ttl:?} {check:?}: too late");
        assert!(
            late <= ttl.saturating_sub(check) || late <= ttl / 2,
            "{ttl:?} {check:?}: no check left"
        );
    }
}

#[test]
fn times_without_end_do_not_overflow() {
    let now = Instant::now();
    let rules = Rules {
        ttl: Duration::MAX,
        refresh_check: Duration::MAX,
        login_concurrency: usize::MAX,
    };
    let mut schedule = Schedule::new(rules, || f64::NAN);
    schedule.insert(0, "ann", now);
    let login = start_one(&mut schedule, now);
    assert!(schedule.succeeded(login, 1, None, now));
    assert!(schedule.plan(now).next_look > now);
}

#[test]
fn a_suspect_token_is_due_at_once() {
    let start = Instant::now();
    let mut schedule = with_token(0.5, start);
    let now = start + 10 * SECOND;
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Due);
    assert_eq!(state(&schedule, 0), SlotState::Suspect);
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Known);
    assert_eq!(started(&mut schedule, now), [0]);
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Known);
    assert!(
        started(&mut schedule, now + 100 * SECOND).is_empty(),
        "one login at a time"
    );
}

#[test]
fn a_complaint_about_an_older_token_is_stale() {
    let start = Instant::now();
    let mut schedule = with_token(0.5, start);
    assert_eq!(schedule.suspect(0, used(0), start), Suspicion::Stale);
    assert_eq!(schedule.suspect(0, used(2), start), Suspicion::Stale);
    assert_eq!(schedule.suspect(7, used(1), start), Suspicion::Stale);
    assert_eq!(state(&schedule, 0), SlotState::Usable);
}

#[test]
fn a_complaint_during_a_renewal_starts_no_second_login() {
    let start = Instant::now();
    let mut schedule = with_token(0.5, start);
    let now = start + 2970 * SECOND;
    let login = start_one(&mut schedule, now);
    assert_eq!(schedule.suspect(0, used(1), now), Suspicion::Known);
    assert!(schedule.succeeded(login, 2, None, now));
    assert_eq!(state(&schedule, 0), SlotState::Usable);
    assert!(started(&mut schedule, now).is_empty());
}

#[test]
fn cures_that_serve_and_are_turned_down_soon_wait_ever_longer() {
    let mut now = Instant::now();
    let mut schedule = with_token(1.0, now);
    let mut waits = Vec::new();
    for version in 1..13 {
        schedule.suspect(0, used(version), now);
        let due = schedule.view(0).unwrap().next_login.unwrap();
        waits.push(due.max(now) - now);
        now = now.max(due);
        let login = start_one(&mut schedule, now);
        assert!(schedule.succeeded(login, version + 1, None, now));
    }
    let expected = [
        0, 0, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000,
    ];
    assert_eq!(waits, expected.map(Duration::from_millis));
    assert_eq!(
        schedule.suspect(0, used(13), now + 60 * SECOND),
        Suspicion::Due,
        "a token that served for a while breaks the row"
    );
}

#[test]
fn a_cure_turned_down_at_its_first_use_is_cleared_and_tried_again_after_a_minute() {
    let start = Instant::now();
    let mut schedule = with_token(0.5, start);
    let now = start + 10 * SECOND;
    assert_eq!(schedule.suspect(0, unused(1), now), Suspicion::Due);
    let login = start_one(&mut schedule, now);
    assert!(schedule.succeeded(login, 2, None, now));
    for second in [0, 30, 59] {
        let then = now + second * SECOND;
        assert_eq!(schedule.suspect(0, unused(2), then), Suspicion::Cleared);
        assert_eq!(state(&schedule, 0), SlotState::Usable);
        assert!(started(&mut schedule, then).is_empty());
    }
    let later = now + 60 * SECOND;
    assert_eq!(schedule.suspect(0, unused(2), later), Suspicion::Due);
    let login = start_one(&mut schedule, later);
    assert!(schedule.succeeded(login, 3, None, later));
    assert_eq!(schedule.suspect(0, unused(3), later), Suspicion::Cleared);
}

#[test]
fn a_busy_server_is_asked_again_soon_and_takes_no_token_away() {
    let start = Instant::now();
    let mut schedule = with_token(1.0, start);
    let mut now = start + 3240 * SECOND;
    for _ in 0..20 {
        let login = start_one(&mut schedule, now);
        assert!(schedule.failed(login, Failure::Busy, now));
        assert_eq!(state(&schedule, 0), SlotState::Usable);
        let due = schedule.view(0).unwrap().next_login.unwrap();
        assert!(due > now && due <= now + 30 * SECOND);
        now = due;
    }
}

#[test]
fn a_token_in_hand_is_good_to_its_end_whatever_its_renewal_comes_to() {
    for failure in [Failure::Busy, Failure::Trouble, Failure::Refused] {
        let start = Instant::now();
        let mut schedule = with_token(0.0, start);
        let due = start + 2700 * SECOND;
        let login = start_one(&mut schedule, due);
        assert!(schedule.failed(login, failure, due));
        let mut now = due;
        while now < start + 3600 * SECOND {
            let plan = schedule.plan(now);
            assert_eq!(plan.ended, [0; 0], "{failure:?}");
            assert_eq!(state(&schedule, 0), SlotState::Usable, "{failure:?}");
            for login in plan.start {
                assert!(schedule.failed(login, failure, now));
            }
            assert!(plan.next_look <= start + 3600 * SECOND);
            now = plan.next_look;
        }
        assert_eq!(schedule.plan(now).ended, [0], "{failure:?}");
        assert_eq!(schedule.plan(now).ended, [0; 0], "told once");
        let expected = match failure {
            Failure::Refused => SlotState::Refused,
            Failure::Busy | Failure::Trouble => SlotState::Expired,
        };
        assert_eq!(state(&schedule, 0), expected);
    }
}

#[test]
fn what_the_server_says_of_a_tokens_life_counts_before_the_ttl() {
    let start = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 1)], start);
    let login = start_one(&mut schedule, start);
    assert!(schedule.succeeded(login, 1, Some(400 * SECOND), start));
    schedule.set_rules(rules());
    let due = start + 400 * SECOND / 10 * 85 / 10 * 5 / 6;
    let next = schedule.view(0).unwrap().next_login.unwrap();
    assert!(
        next < start + 340 * SECOND && next > due - 10 * SECOND,
        "{:?}",
        next - start
    );
    assert_eq!(schedule.plan(start + 400 * SECOND).ended, [0]);
}

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
    (0..3).for_each(|slot| schedule.adopt(slot, "ann", 1, start));
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
fn trouble_is_retried_with_growing_waits_and_takes_no_token_away() {
    let start = Instant::now();
    let mut schedule = with_token(1.0, start);
    let mut now = start + 3240 * SECOND;
    let mut waits = Vec::new();
    for _ in 0..7 {
        let login = start_one(&mut schedule, now);
        assert!(schedule.failed(login, Failure::Trouble, now));
        assert_eq!(state(&schedule, 0), SlotState::Usable);
        let due = schedule.view(0).unwrap().next_login.unwrap();
        waits.push(due - now);
        now = due;
    }
    assert_eq!(
        waits,
        [400, 800, 1600, 3200, 5000, 5000, 5000].map(Duration::from_millis)
    );
}

#[test]
fn a_backoff_is_jittered_over_its_whole_range() {
    for failures in [1, 5, 50, u32::MAX] {
        assert_eq!(
            rules::backoff(failures, 1000, &mut Dice::new(|| 0.0)),
            Duration::from_millis(200)
        );
    }
    assert_eq!(
        rules::backoff(u32::MAX, 1000, &mut Dice::new(|| 1.0)),
        30 * SECOND
    );
    assert_eq!(
        rules::backoff(u32::MAX, 12, &mut Dice::new(|| 1.0)),
        12 * SECOND
    );
    assert_eq!(
        rules::backoff(u32::MAX, 1, &mut Dice::new(|| 1.0)),
        5 * SECOND
    );
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

#[test]
fn a_person_may_renew_a_good_token_and_wake_a_refused_user() {
    let start = Instant::now();
    let mut schedule = with_token(0.0, start);
    let now = start + SECOND;
    assert!(!schedule.renew(7, now));
    assert!(schedule.renew(0, now));
    let login = start_one(&mut schedule, now);
    assert!(schedule.renew(0, now), "one is under way");
    assert!(schedule.failed(login, Failure::Refused, now));
    assert!(started(&mut schedule, now).is_empty());
    assert!(schedule.renew(0, now));
    assert_eq!(started(&mut schedule, now), [0]);
}

#[test]
fn empty_slots_come_before_suspects_before_expiring_before_failed_ones() {
    let start = Instant::now();
    let mut schedule = Schedule::new(
        Rules {
            login_concurrency: 1,
            ..rules()
        },
        || 0.0,
    );
    for slot in 0..3 {
        schedule.adopt(slot, "ann", 1, start);
    }
    let now = start + 2700 * SECOND;
    let failing = start_one(&mut schedule, now);
    assert!(schedule.failed(failing, Failure::Trouble, now));
    let now = now + SECOND;
    assert_eq!(schedule.suspect(2, used(1), now), Suspicion::Due);
    schedule.insert(3, "ann", now);
    let mut order = Vec::new();
    for _ in 0..4 {
        let login = start_one(&mut schedule, now);
        order.push(login.slot);
        assert!(schedule.succeeded(login, 2, None, now));
    }
    assert_eq!(order, [3, 2, 1, 0]);
}

#[test]
fn users_take_turns() {
    let start = Instant::now();
    let mut schedule = Schedule::new(
        Rules {
            login_concurrency: 4,
            ..rules()
        },
        || 0.0,
    );
    (0..10).for_each(|slot| schedule.adopt(slot, if slot < 8 { "ann" } else { "bob" }, 1, start));
    assert_eq!(started(&mut schedule, start + 2700 * SECOND), [0, 8, 1, 9]);
}

#[test]
fn logins_under_way_stay_within_the_bound_and_retries_leave_room() {
    let now = Instant::now();
    let mut schedule = Schedule::new(
        Rules {
            login_concurrency: 8,
            ..rules()
        },
        || 0.0,
    );
    for slot in 0..20 {
        schedule.adopt(slot, "ann", 1, now);
        assert_eq!(
            schedule.suspect(slot, used(1), now + 10 * SECOND),
            Suspicion::Due
        );
    }
    let mut later = now + 10 * SECOND;
    for _ in 0..3 {
        let plan = schedule.plan(later);
        assert!(plan.start.len() <= 8, "{plan:?}");
        for login in plan.start {
            assert!(schedule.failed(login, Failure::Trouble, later));
        }
        later += SECOND / 100;
    }
    let later = later + 60 * SECOND;
    assert_eq!(
        started(&mut schedule, later).len(),
        6,
        "all have failed: two places stay free"
    );
    schedule.insert(20, "ann", later);
    assert_eq!(started(&mut schedule, later), [20]);
}

#[test]
fn a_removed_slots_login_counts_no_more_and_its_report_is_ignored() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 1)], now);
    let old = start_one(&mut schedule, now);
    schedule.remove(0);
    assert!(!schedule.expects(&old));
    schedule.insert(0, "bob", now);
    let new = start_one(&mut schedule, now);
    assert!(!schedule.succeeded(old, 9, None, now));
    assert_eq!(state(&schedule, 0), SlotState::Empty);
    assert!(schedule.succeeded(new, 1, None, now));
}

#[test]
fn slots_put_back_by_a_reload_stay_refused() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 1)], now);
    let login = start_one(&mut schedule, now);
    assert!(schedule.failed(login, Failure::Refused, now));
    schedule.insert(0, "ann", now);
    assert!(started(&mut schedule, now).is_empty());
    assert_eq!(state(&schedule, 0), SlotState::Refused);
}

#[test]
fn an_adopted_token_is_renewed_when_its_own_time_comes() {
    let start = Instant::now();
    let mut schedule = Schedule::new(rules(), || 0.0);
    schedule.adopt(0, "ann", 7, start);
    let now = start + 2000 * SECOND;
    assert!(started(&mut schedule, now).is_empty());
    assert_eq!(schedule.suspect(0, used(7), now), Suspicion::Due);
    assert_eq!(started(&mut schedule, now), [0]);
}

#[test]
fn a_shorter_ttl_holds_for_tokens_in_hand() {
    let start = Instant::now();
    let mut schedule = with_token(0.0, start);
    schedule.set_rules(Rules {
        ttl: 1000 * SECOND,
        ..rules()
    });
    assert_eq!(
        schedule.view(0).unwrap().next_login,
        Some(start + 750 * SECOND)
    );
}
