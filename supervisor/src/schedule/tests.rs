mod passwords;
mod properties;
mod simulation;
mod tokens;
mod work;

use std::time::Duration;

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
        schedule.adopt(slot, "ann", 1, start, None);
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
    (0..10).for_each(|slot| {
        schedule.adopt(slot, if slot < 8 { "ann" } else { "bob" }, 1, start, None)
    });
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
        schedule.adopt(slot, "ann", 1, now, None);
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
    schedule.adopt(0, "ann", 7, start, None);
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
