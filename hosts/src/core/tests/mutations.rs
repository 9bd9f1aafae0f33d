//! Rules that are broken one at a time: the searches that find nothing wrong with all rules kept find what each of them is for.
use super::formats::{MEETING, old_and_new, raise_meets_join};
use super::search::{Budget, crowd, search};
use super::small_worlds::{A_LATE_LEAVE, NOTHING, about_to_leave, settled, settled_with};
use super::world::{STEP, World};
use crate::event::Event;
use crate::rules::Rules;

/// Says what the search found.
fn found(world: World, budget: Budget) -> String {
    let found = search(world, budget);
    let (wrong, path) = found.wrong.expect("the search finds what the rule is for");
    println!("{wrong}\nafter {} states: {path:?}", found.states);
    wrong
}

#[test]
fn a_fence_before_the_last_byte_is_found() {
    let rules = Rules {
        fence_after: 20,
        ..Rules::KEPT
    };
    let wrong = found(
        settled(&[4, 5], 1, rules),
        Budget {
            steps: 12,
            deaths: 1,
            ..NOTHING
        },
    );
    assert!(wrong.contains("before its last byte"), "{wrong}");
}

#[test]
fn deadlines_that_count_from_the_answer_are_found() {
    let rules = Rules {
        from_before_sending: false,
        ..Rules::KEPT
    };
    found(
        settled(&[4, 5], 1, rules),
        Budget {
            steps: 10,
            faults: 2,
            deaths: 1,
            ..NOTHING
        },
    );
}

/// The second host, which knew no account, is told of one, and has heard nothing of the first, which has its session.
fn late_to_know(rules: Rules) -> World {
    let mut world = World::small(&[4, 5], 1, rules);
    let accounts = std::mem::take(&mut world.hosts[1].settings.accounts);
    world.start(1);
    world.settle();
    world.hosts[1].deaf = true;
    world.start(0);
    world.settle();
    world.pass(2, STEP);
    assert_eq!(world.lent_at(0), 1);
    world.hosts[1].settings.accounts = accounts;
    let settings = Box::new(world.hosts[1].settings.clone());
    world.tell(1, 1, Event::Settings(settings));
    world
}

#[test]
fn a_share_that_is_dropped_without_a_look_at_its_host_is_found() {
    let rules = Rules {
        compare_generations: false,
        ..Rules::KEPT
    };
    found(
        late_to_know(rules),
        Budget {
            steps: 2,
            ..NOTHING
        },
    );
}

/// Two hosts with a session each, of which the second needs more.
fn crowded(rules: Rules) -> World {
    let mut world = settled(&[4, 4], 2, rules);
    crowd(&mut world, 1, true);
    world
}

#[test]
fn a_session_that_is_given_while_it_is_lent_is_found() {
    let rules = Rules {
        give_what_is_out: false,
        ..Rules::KEPT
    };
    found(
        crowded(rules),
        Budget {
            steps: 4,
            demands: 1,
            ..NOTHING
        },
    );
}

#[test]
fn a_session_that_is_lent_on_after_a_lost_answer_is_found() {
    let rules = Rules {
        ambiguous_is_given: false,
        ..Rules::KEPT
    };
    found(
        crowded(rules),
        Budget {
            steps: 4,
            faults: 2,
            ..NOTHING
        },
    );
}

#[test]
fn a_leave_that_arrives_after_its_host_has_stayed_is_found() {
    let rules = Rules {
        bar_leaves: false,
        ..Rules::KEPT
    };
    found(about_to_leave(rules), A_LATE_LEAVE);
}

#[test]
fn a_format_that_is_raised_unasked_is_found() {
    let rules = Rules {
        raise_asks_all: false,
        ..Rules::KEPT
    };
    let wrong = found(
        old_and_new(rules),
        Budget {
            steps: 4,
            ..NOTHING
        },
    );
    assert!(wrong.contains("host1 is shut out"), "{wrong}");
}

#[test]
fn a_format_that_is_raised_while_a_host_of_before_joins_is_found() {
    let rules = Rules {
        raise_bars_joins: false,
        ..Rules::KEPT
    };
    let wrong = found(raise_meets_join(rules, false), MEETING);
    assert!(wrong.contains("host1 is shut out"), "{wrong}");
}

#[test]
fn a_join_by_a_format_that_was_raised_meanwhile_is_found() {
    let rules = Rules {
        join_compares_meta: false,
        ..Rules::KEPT
    };
    let wrong = found(raise_meets_join(rules, true), MEETING);
    assert!(wrong.contains("host1 is shut out"), "{wrong}");
}

#[test]
fn clocks_whose_rates_differ_by_half_are_found() {
    let world = settled_with(World::small(&[4, 6], 1, Rules::KEPT));
    let wrong = found(
        world,
        Budget {
            steps: 12,
            deaths: 1,
            ..NOTHING
        },
    );
    assert!(wrong.contains("before its last byte"), "{wrong}");
}

#[test]
fn nothing_of_it_is_found_with_all_rules_kept() {
    assert!(
        search(
            late_to_know(Rules::KEPT),
            Budget {
                steps: 3,
                faults: 1,
                ..NOTHING
            }
        )
        .wrong
        .is_none()
    );
    assert!(
        search(
            crowded(Rules::KEPT),
            Budget {
                steps: 4,
                faults: 1,
                demands: 1,
                ..NOTHING
            }
        )
        .wrong
        .is_none()
    );
}
