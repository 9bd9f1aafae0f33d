use std::time::Duration;

use proptest::prelude::*;

use super::*;

const RULES: Outlier = Outlier {
    enabled: true,
    consecutive: 5,
    base: Duration::from_secs(30),
    max: Duration::from_secs(100),
    max_percent: 50,
};
const NOW: u64 = 1_000_000;

fn standing(failures: u64) -> Standing {
    Standing {
        tags: vec!["a".to_owned()],
        can_serve: true,
        failures,
        out_until: 0,
        times: 0,
    }
}

fn out(until: u64) -> Standing {
    Standing {
        out_until: until,
        times: 1,
        ..standing(0)
    }
}

#[test]
fn who_fails_often_enough_is_left_out_and_longer_each_time_up_to_the_longest() {
    let mut backends = vec![standing(5), standing(4), standing(0)];
    let mut lasted = Vec::new();
    let mut now = NOW;
    for _ in 0..5 {
        let [(0, Move::Eject { until, times })] = moves(&RULES, &backends, now)[..] else {
            panic!("{:?}", moves(&RULES, &backends, now));
        };
        lasted.push((until - now) / 1000);
        (backends[0].out_until, backends[0].times) = (until, times);
        assert_eq!(moves(&RULES, &backends, until - 1), [], "it is out");
        now = until;
    }
    assert_eq!(lasted, [30, 60, 90, 100, 100]);
    let [(0, Move::Eject { until, times: 1 })] = moves(&RULES, &backends, now + 100_001)[..] else {
        panic!("what is long ago counts no more");
    };
    assert_eq!(until, now + 130_001);
}

#[test]
fn no_more_of_a_tag_are_out_than_may_be_and_never_the_last() {
    assert_eq!(moves(&RULES, &[standing(9)], NOW), [], "the only one");
    let two = [standing(5), standing(9)];
    assert!(matches!(
        moves(&RULES, &two, NOW)[..],
        [(1, Move::Eject { .. })]
    ));
    let three = [standing(9), standing(8), standing(7)];
    assert_eq!(moves(&RULES, &three, NOW).len(), 1, "half of three is one");
    let all = Outlier {
        max_percent: 100,
        ..RULES
    };
    assert_eq!(moves(&all, &three, NOW).len(), 2, "one is left");
    let others_down = Standing {
        can_serve: false,
        ..standing(0)
    };
    assert_eq!(moves(&all, &[standing(9), others_down.clone()], NOW), []);
    let few = Outlier {
        max_percent: 30,
        ..RULES
    };
    assert_eq!(moves(&few, &three, NOW), []);
    // Of one tag it is the last, of another it is not.
    let both = Standing {
        tags: vec!["a".to_owned(), "b".to_owned()],
        ..standing(9)
    };
    assert_eq!(moves(&all, &[both, standing(0)], NOW), []);
}

#[test]
fn who_is_out_comes_back_early_where_too_few_are_left() {
    let soon = NOW + 1000;
    let gone = [out(NOW + 5000), out(soon), standing(0)];
    assert_eq!(moves(&RULES, &gone, NOW), [(1, Move::Readmit)]);
    let down = Standing {
        can_serve: false,
        ..standing(0)
    };
    assert_eq!(moves(&RULES, &[out(soon), down], NOW), [(0, Move::Readmit)]);
    let off = Outlier {
        enabled: false,
        ..RULES
    };
    let (bad, fine) = (standing(100), standing(0));
    assert_eq!(
        moves(&off, &[out(soon), bad, fine], NOW),
        [(0, Move::Readmit)]
    );
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let tags = proptest::sample::subsequence(vec!["a", "b", "c"], 1..3);
    let words = (any::<bool>(), 0..10_u64, 0..3_u64, 0..4_u64);
    (tags, words).prop_map(|(tags, (can_serve, failures, ahead, times))| Standing {
        tags: tags.into_iter().map(str::to_owned).collect(),
        can_serve,
        failures,
        out_until: NOW - 1 + ahead,
        times,
    })
}

proptest! {
    #[test]
    fn whatever_was_before_the_bound_holds_after_each_single_move_once_it_held(
        backends in proptest::collection::vec(any_standing(), 1..12),
        max_percent in 0..=100_u32,
    ) {
        let rules = Outlier { max_percent, ..RULES };
        let mut backends = backends;
        let is_kept = |backends: &[Standing]| {
            groups(backends, NOW).values().all(|group| group.is_kept(&rules))
        };
        let mut held = is_kept(&backends);
        for (at, step) in moves(&rules, &backends.clone(), NOW) {
            match step {
                Move::Readmit => backends[at].out_until = NOW,
                Move::Eject { until, .. } => {
                    prop_assert!(until > NOW && backends[at].failures >= 5);
                    (backends[at].out_until, backends[at].failures) = (until, 0);
                }
            }
            prop_assert!(is_kept(&backends) || !held, "after {step:?} of {at}");
            held |= is_kept(&backends);
        }
        prop_assert!(is_kept(&backends));
        prop_assert!(moves(&rules, &backends, NOW).iter().all(|(_, step)| *step != Move::Readmit));
    }
}
