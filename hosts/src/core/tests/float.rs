//! Home sessions that are too many where others have come: they become floating ones, and are never in use for longer than the record
//! says.
use super::life::{first_of_two_alone, right};
use super::orderings::until_it_writes;
use super::search::{Action, Budget, apply, crowd, search};
use super::small_worlds::{NOTHING, holds};
use super::world::{STEP, World};
use crate::deadlines::SECOND;
use crate::rules::Rules;

/// The first of two hosts has two home sessions where it ought to have one, and both are held: one of them has just been ordered to be
/// made floating.
fn surplus(rules: Rules) -> World {
    let mut world = World::small(&[4, 5], 2, rules);
    for host in &mut world.hosts {
        host.settings.home_percent = 100;
        host.settings.home_takeover = 60 * SECOND;
    }
    world.start(0);
    world.settle();
    world.pass(4, STEP);
    second_comes_to_a_busy_first(&mut world);
    assert_eq!(world.home_at(0), 2);
    for _ in 0..40 {
        if (world.hosts[0].slots.values()).any(|slot| slot.floats.is_some()) {
            return world;
        }
        world.settle();
        world.advance(STEP, false);
    }
    panic!("one is to float");
}

/// All that the first has is held, and nobody waits.
fn second_comes_to_a_busy_first(world: &mut World) {
    crowd(world, 0, true);
    world.hosts[0].waiting = 0;
    world.start(1);
    world.settle();
}

/// Nobody holds them any more.
fn let_go(world: &mut World) {
    let slots = world.hosts[0].slots.values_mut();
    slots.for_each(|slot| slot.busy = false);
}

#[test]
fn what_becomes_floating_is_in_use_no_longer_than_floating_sessions_are() {
    let world = surplus(Rules::KEPT);
    holds(
        "one that is held is to float, and a death",
        world.clone(),
        Budget {
            steps: 12,
            deaths: 1,
            demands: 1,
            ..NOTHING
        },
    );
    let mut world = world;
    let_go(&mut world);
    holds(
        "one that is idle is to float, a death, a fault",
        world.clone(),
        Budget {
            steps: 9,
            faults: 1,
            deaths: 1,
            ..NOTHING
        },
    );
    holds(
        "two faults",
        world,
        Budget {
            steps: 4,
            faults: 2,
            ..NOTHING
        },
    );
}

#[test]
fn a_record_that_floats_before_its_session_does_is_found() {
    let rules = Rules {
        float_here_first: false,
        ..Rules::KEPT
    };
    let mut world = surplus(rules);
    world.hosts[0].deaf = true;
    let budget = Budget {
        steps: 10,
        faults: 1,
        deaths: 1,
        ..NOTHING
    };
    let found = search(world, budget);
    let (wrong, path) = found.wrong.expect("the search finds what the rule is for");
    println!("{wrong}\nafter {} states: {path:?}", found.states);
}

#[test]
fn a_successor_does_not_lend_for_longer_what_its_predecessor_may_have_made_floating() {
    for served in 0..6 {
        let mut world = surplus(Rules::KEPT);
        let_go(&mut world);
        until_it_writes(&mut world, "/a/");
        assert_eq!(world.home_at(0), 1, "it floats here first");
        apply(&mut world, Action::Delay { given_up: true });
        world.fresh.clear();
        world.start(0);
        for _ in 0..served {
            world.serve();
        }
        // It is committed at this instant, if it can be, and the successor hears nothing any more.
        world.hosts[0].deaf = true;
        apply(&mut world, Action::Arrive(0));
        apply(&mut world, Action::Stop(0));
        world.fresh.clear();
        world.pass(20, STEP);
        assert_eq!(world.wrong, None, "after {served} answers");
    }
}

#[test]
fn a_busy_host_that_was_alone_has_its_part_of_home_sessions_and_what_is_over_comes_back_when_it_dies()
 {
    let mut world = first_of_two_alone();
    second_comes_to_a_busy_first(&mut world);
    world.pass(100, SECOND);
    assert_eq!(world.home_at(0), 20, "all are held");
    // They fall free one after the other, and are taken again.
    for round in 0..40 {
        let slots = world.hosts[0].slots.values_mut();
        for (number, slot) in slots.enumerate() {
            slot.busy = number != round;
        }
        world.pass(5, SECOND);
    }
    assert_eq!((world.home_at(0), world.lent_at(0)), (10, 40));
    let floated = world.hosts[0].floated;
    world.pass(120, SECOND);
    assert_eq!(world.hosts[0].floated, floated, "no more than these");
    right(&world);
    world.hosts[0].kill();
    world.pass(20, SECOND);
    assert_eq!(world.lent_at(1), 30, "all but its own part");
}

#[test]
fn what_is_to_float_stays_home_where_the_other_host_goes_or_the_store_is_away() {
    let mut world = surplus(Rules::KEPT);
    world.hosts[1].kill();
    let_go(&mut world);
    // What leaves is lost from now on.
    for _ in 0..5 {
        world.advance(STEP, false);
        while let Some(request) = world.fresh.pop_front() {
            if request.transaction.is_some() {
                world.answer(request, Some(crate::engine::Outcome::Ambiguous));
            }
        }
    }
    world.pass(60, STEP);
    assert_eq!((world.home_at(0), world.lent_at(0)), (2, 2));
    assert_eq!(world.wrong, None);
}
