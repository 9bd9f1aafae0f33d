use proptest::prelude::*;

use super::*;
use crate::health::rules::Kind;

fn rules() -> Rules {
    Rules {
        kind: Kind::Tcp,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    }
}

fn failed() -> Result<(), String> {
    Err("connection refused".to_owned())
}

/// What a backend is after each of `checks`.
fn after_each(record: &mut Record, checks: &[bool]) -> Vec<Health> {
    let checks = checks.iter().zip(1..);
    checks
        .map(|(passed, at)| {
            let result = if *passed { Ok(()) } else { failed() };
            record.note(result, &rules(), at);
            record.health()
        })
        .collect()
}

use Health::{Down, Up};

#[test]
fn so_many_checks_in_a_row_turn_a_backend() {
    let mut record = Record::new(Begin::Assumed, 0);
    let checks = [
        false, false, true, false, false, false, true, false, true, true,
    ];
    let seen = after_each(&mut record, &checks);
    assert_eq!(seen, [Up, Up, Up, Up, Up, Down, Down, Down, Down, Up]);
    assert_eq!((record.passed(), record.failed()), (4, 6));
    assert_eq!(record.since(), 10, "the last turn");
    assert_eq!(record.last_error(), Some("connection refused"));
}

#[test]
fn one_check_is_enough_for_one_that_was_never_seen() {
    let mut record = Record::new(Begin::Unproved, 0);
    assert_eq!(record.health(), Down);
    assert_eq!(after_each(&mut record, &[false, true]), [Down, Up]);
    assert_eq!(
        after_each(&mut record, &[false, false, false, true]),
        [Up, Up, Down, Down],
        "and from then on it is one like others"
    );
}

#[test]
fn what_a_predecessor_found_holds_until_checks_say_otherwise() {
    let mut down = Record::new(Begin::Inherited(Down), 0);
    assert_eq!(after_each(&mut down, &[true, true]), [Down, Up]);
    let mut up = Record::new(Begin::Inherited(Up), 0);
    assert_eq!(after_each(&mut up, &[false, false, false]), [Up, Up, Down]);
}

#[test]
fn a_backend_about_to_turn_is_asked_more_often() {
    let mut record = Record::new(Begin::Assumed, 0);
    let pause = |record: &Record| record.pause(&rules(), 0.5);
    assert_eq!(pause(&record), Duration::from_secs(10));
    after_each(&mut record, &[false]);
    assert_eq!(pause(&record), Duration::from_secs(2));
    after_each(&mut record, &[false, false]);
    assert_eq!(pause(&record), Duration::from_secs(10), "down for good");
    after_each(&mut record, &[true]);
    assert_eq!(pause(&record), Duration::from_secs(2));
    after_each(&mut record, &[true]);
    assert_eq!(pause(&record), Duration::from_secs(10));
}

#[test]
fn who_waits_to_serve_is_looked_at_at_once_and_others_are_spread() {
    let first = |begin, dice| Record::new(begin, 0).first_pause(&rules(), dice);
    assert_eq!(first(Begin::Unproved, 0.9), Duration::ZERO);
    assert_eq!(first(Begin::Assumed, 0.5), Duration::from_secs(1));
    assert_eq!(first(Begin::Inherited(Down), 0.0), Duration::ZERO);
}

proptest! {
    #[test]
    fn a_pause_is_within_a_tenth_of_the_interval(dice in 0.0..=1.0f64) {
        let pause = Record::new(Begin::Assumed, 0).pause(&rules(), dice);
        prop_assert!(pause >= Duration::from_secs(9) && pause <= Duration::from_secs(11), "{pause:?}");
    }

    #[test]
    fn a_state_turns_only_after_its_threshold_in_a_row(checks in proptest::collection::vec(any::<bool>(), 0..64)) {
        let mut record = Record::new(Begin::Assumed, 0);
        let seen = after_each(&mut record, &checks);
        let mut before = Up;
        for (at, now) in seen.into_iter().enumerate() {
            let row = |length: usize, passed: bool| at + 1 >= length && checks[at + 1 - length..=at].iter().all(|one| *one == passed);
            match (before, now) {
                (Up, Down) => prop_assert!(row(3, false)),
                (Down, Up) => prop_assert!(row(2, true)),
                (Up, Up) => prop_assert!(!row(3, false)),
                (Down, Down) => prop_assert!(!row(2, true)),
            }
            before = now;
        }
    }
}
