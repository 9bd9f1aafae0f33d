//! When a token is renewed, and whom a complaint about it blames.

use super::*;

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
