//! What it costs, counted in looks at slots: the supervisor has one thread for all.

use super::*;

const SLOTS: u32 = 16_384;

/// That many slots of so many users whose passwords are known to be good, all due.
fn many(users: u32, login_concurrency: usize, now: Instant) -> Schedule {
    let rules = Rules {
        login_concurrency,
        ..rules()
    };
    let mut schedule = Schedule::new(rules, || 0.0);
    for slot in 0..SLOTS {
        let user = format!("user{}", slot % users);
        if slot < users {
            schedule.adopt(slot, &user, 1, now, None);
            schedule.renew(slot, now);
        } else {
            schedule.insert(slot, &user, now);
        }
    }
    schedule.looks.set(0);
    schedule
}

#[test]
fn a_plan_looks_at_no_slot_more_than_twice_however_many_logins_it_begins() {
    let now = Instant::now();
    for users in [1, 100, SLOTS] {
        for concurrency in [1, 64, 1000] {
            let mut schedule = many(users, concurrency, now);
            assert_eq!(schedule.plan(now).start.len(), concurrency);
            let looks = schedule.looks.get();
            assert!(
                looks <= 2 * SLOTS as usize,
                "{looks} looks for {users} users"
            );
            // No place is left.
            schedule.looks.set(0);
            assert!(schedule.plan(now).start.is_empty());
            assert_eq!(schedule.looks.get(), SLOTS as usize);
        }
    }
}

#[test]
fn a_user_that_is_gone_leaves_its_place_to_the_next_one() {
    let now = Instant::now();
    let mut schedule = Schedule::new(rules(), || 0.0);
    for round in 0..1000 {
        schedule.insert(0, &format!("user{round}"), now);
        schedule.insert(1, "stays", now);
    }
    assert!(schedule.accounts.len() <= 3);
    assert_eq!(schedule.by_user.len(), schedule.accounts.len());
    assert_eq!(schedule.view(0).unwrap().user, "user999");
    assert_eq!(schedule.view(1).unwrap().user, "stays");
}

#[test]
fn one_that_rests_is_remembered_as_long_as_it_does() {
    let now = Instant::now();
    let mut schedule = schedule(0.0, &[("ann", 1)], now);
    let login = start_one(&mut schedule, now);
    assert!(schedule.failed(login, Failure::Refused, now));
    for round in 0..20 {
        schedule.insert(0, &format!("user{round}"), now);
    }
    schedule.insert(0, "ann", now);
    assert_eq!(state(&schedule, 0), SlotState::Refused);
    schedule.remove(0);
    let later = now + 400 * SECOND;
    for round in 0..20 {
        schedule.insert(0, &format!("other{round}"), later);
    }
    assert!(!schedule.by_user.contains_key("ann"));
    assert!(schedule.accounts.len() <= 3);
}
