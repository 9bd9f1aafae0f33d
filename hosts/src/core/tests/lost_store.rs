//! A store that is away, was restored, or has forgotten what a watch is to tell.
use super::life::{phase, right, started, world};
use super::world::STEP;
use crate::deadlines::{Class, SECOND};
use crate::event::{Command, Event};
use crate::order::Denied;
use crate::status::Phase;

#[test]
fn an_hour_without_the_store_costs_what_is_floating_and_not_what_is_home() {
    let mut world = world(2, 20);
    for host in &mut world.hosts {
        host.settings.home_percent = 50;
        host.settings.expected = 2;
    }
    (0..2).for_each(|host| world.start(host));
    world.settle();
    world.pass(60, SECOND);
    assert_eq!(world.lent(), 40);
    for _ in 0..3600 {
        world.advance(SECOND, false);
        while let Some(request) = world.fresh.pop_front() {
            let outcome = request
                .transaction
                .is_some()
                .then_some(crate::engine::Outcome::Ambiguous);
            match outcome {
                Some(_) => world.answer(request, outcome),
                None => world.tell(
                    request.host,
                    request.process,
                    Event::Unlisted(request.ticket),
                ),
            }
        }
    }
    let home = world
        .hosts
        .iter()
        .flat_map(|host| host.slots.values())
        .filter(|slot| slot.class == Class::Home)
        .count();
    assert_eq!((world.lent(), home), (20, 20));
    world.pass(40, SECOND);
    assert_eq!(world.lent(), 40, "it goes on as it was");
    right(&world);
}

#[test]
fn a_store_that_was_restored_is_left_alone_until_an_operator_adopts_it() {
    let mut world = started(2, 4);
    let backup = world.store.clone();
    world.pass(10, SECOND);
    world.store = backup;
    world.pass(20, SECOND);
    assert_eq!(world.lent(), 0);
    assert_eq!(
        (phase(&world, 0), phase(&world, 1)),
        (Some(Phase::OtherStore), Some(Phase::OtherStore))
    );
    for index in 0..2 {
        world
            .command(index, Command::Adopt)
            .expect("there is something to adopt");
        let again = world.command(index, Command::Adopt);
        assert_eq!(again, Err(Denied::NothingToAdopt));
    }
    world.settle();
    world.pass(30, SECOND);
    assert_eq!(world.lent(), 8);
    right(&world);
}

#[test]
fn a_watch_that_is_compacted_away_is_begun_anew() {
    let mut world = started(2, 4);
    world.hosts[1].deaf = true;
    world.pass(4, STEP);
    world.store.compact();
    world.hosts[1].deaf = false;
    world.spread();
    world.settle();
    assert!(world.hosts[1].watch.is_some());
    right(&world);
}
