//! Orders of events that are deeper than the searches go: what a predecessor sent is committed when its successor has just read the records.
use super::host::Request;
use super::search::{Action, apply, crowd};
use super::small_worlds::settled;
use super::world::{STEP, World};
use crate::keys::Place;
use crate::rules::Rules;

fn writes(request: &Request, place: &str) -> bool {
    let writes = |key: &str| key.contains(place);
    request
        .transaction
        .as_ref()
        .is_some_and(|it| it.writes.iter().any(|write| writes(&write.key)))
}

/// Serves what leaves until the next request is one that writes there. Time goes by as it must.
pub(super) fn until_it_writes(world: &mut World, place: &str) {
    for _ in 0..100 {
        while let Some(next) = world.fresh.front() {
            if writes(next, place) {
                return;
            }
            world.serve();
        }
        world.advance(STEP / 4, false);
    }
    panic!("nothing writes {place}");
}

/// The first host is about to give one of two sessions to the second; the write is late. It hears nothing from now on.
fn late_gift() -> World {
    let mut world = settled(&[4, 4], 2, Rules::KEPT);
    crowd(&mut world, 1, true);
    until_it_writes(&mut world, "/a/");
    apply(&mut world, Action::Delay { given_up: true });
    world.hosts[0].deaf = true;
    world.fresh.clear();
    world
}

/// The late write is committed at this instant; then all goes on.
fn commit_late(world: &mut World) {
    let fresh = std::mem::take(&mut world.fresh);
    apply(world, Action::Arrive(0));
    world.fresh.extend(fresh);
    world.settle();
    for _ in 0..4 {
        world.pass(1, STEP);
    }
    assert_eq!(world.wrong, None);
    world.hosts[0].deaf = false;
    world.spread();
    world.settle();
    world.pass(4, STEP);
    assert_eq!(
        (world.wrong.clone(), world.lent_at(0), world.lent_at(1)),
        (None, 1, 1)
    );
}

#[test]
fn a_successor_lends_nothing_that_its_predecessor_may_have_given() {
    for served in 0..4 {
        let mut world = late_gift();
        world.start(0);
        for _ in 0..served {
            world.serve();
        }
        commit_late(&mut world);
    }
}

#[test]
fn a_host_that_returns_lends_nothing_that_was_given_when_it_died() {
    let mut world = late_gift();
    world.hosts[0].kill();
    world.start(0);
    // It has read the records, and waits until it is certain that nothing else of it is alive; the other host is deaf too.
    world.hosts[1].stopped = true;
    until_it_writes(&mut world, "/g/host0");
    world.hosts[1].stopped = false;
    commit_late(&mut world);
}

#[test]
fn a_successor_of_one_that_was_just_fenced_does_not_lend_on_what_was_lost() {
    let mut world = settled(&[4, 4], 1, Rules::KEPT);
    // The first host stands still, is fenced, and its session taken; it sees that, and ends before what it lost is out.
    apply(&mut world, Action::Stop(0));
    apply(&mut world, Action::Deafen(0));
    world.pass(9, STEP);
    assert_eq!(world.lent_at(1), 1);
    apply(&mut world, Action::Resume(0));
    while world.fresh.front().is_some_and(|request| request.host == 0) {
        world.serve();
    }
    world.start(0);
    for _ in 0..3 {
        world.settle();
        world.pass(2, STEP);
        assert_eq!(world.wrong, None);
    }
}

#[test]
fn a_host_that_is_over_leaves_no_records_behind() {
    let mut world = World::small(&[4, 4], 1, Rules::KEPT);
    for host in &mut world.hosts {
        host.settings.home_takeover = 2 * host.settings.takeover;
    }
    (0..2).for_each(|host| world.start(host));
    world.settle();
    world.pass(5, STEP);
    world.hosts[0].kill();
    world.pass(80, STEP);
    let keys = crate::keys::Keys::new("/tpp/1/", &super::host::upstream());
    let name = || "host0".to_owned();
    assert_eq!(
        world.store.get(&keys.of(&Place::Generation(name()))).value,
        None
    );
    assert_eq!(world.store.get(&keys.of(&Place::Beat(name()))).value, None);
    assert_eq!((world.wrong.clone(), world.lent_at(1)), (None, 1));
    world.start(0);
    world.settle();
    world.pass(3, STEP);
    assert_eq!(world.wrong, None);
}
