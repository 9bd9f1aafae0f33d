//! Hosts that speak different formats of records, and are upgraded one after the other.
use super::host::{Request, account, upstream};
use super::life::{right, started, world};
use super::search::{Action, Budget, apply};
use super::small_worlds::{NOTHING, holds, settled_with};
use super::world::{STEP, World};
use crate::deadlines::SECOND;
use crate::event::{Command, Event};
use crate::formats::{Formats, NAMED, ROWS};
use crate::keys::{Keys, Place};
use crate::order::{Note, Refusal};
use crate::records::{Meta, Shares};
use crate::rules::Rules;
use crate::status::Status;

fn formats(oldest: u32, newest: u32) -> Formats {
    Formats { oldest, newest }
}

/// The format in force.
pub(super) fn in_force(world: &World) -> u32 {
    let meta = world.read::<Meta>(&Place::Meta);
    meta.expect("a first host was there").format
}

/// Records that stand there in the format of before.
pub(super) fn of_before(world: &World) -> usize {
    let records = (0..world.accounts).map(|n| world.read::<Shares>(&Place::Account(account(n))));
    records.flatten().filter(|record| record.has_rows).count()
}

fn status(world: &World, host: usize) -> Status {
    let host = &world.hosts[host];
    let core = host.core.as_ref().expect("it runs");
    core.status(host.clock(world.time))
}

/// As a cluster of before left it.
fn write_meta(world: &mut World, format: u32) {
    let meta = Meta {
        format,
        cluster: "prod".to_owned(),
        takeover_ms: 15_000,
        home_takeover_ms: 7_200_000,
    };
    let key = Keys::new("/tpp/1/", &upstream()).of(&Place::Meta);
    let value = serde_json::to_vec(&meta).expect("it is JSON");
    world.store.write(vec![(key, Some(value))]);
}

/// The second host is the first that begins.
fn began_in_order(world: &mut World) {
    for host in [1, 0] {
        world.start(host);
        world.settle();
    }
}

/// A new host that is in with all sessions, and one of before, which becomes a new one when it begins anew.
pub(super) fn old_and_new(rules: Rules) -> World {
    let mut world = World::small(&[4, 5], 1, rules);
    world.hosts[1].settings.formats = Formats::UNSAID;
    world.start(1);
    world.settle();
    world.hosts[1].upgrade_to = Some(Formats::SPOKEN);
    world.start(0);
    world.settle();
    world
}

fn is_raise(request: &Request) -> bool {
    let transaction = request.transaction.as_ref();
    transaction.is_some_and(|it| it.writes.iter().any(|write| write.key.ends_with("meta")))
}

/// Serves what leaves until the next request raises the format, and takes it out.
fn raise_of(world: &mut World) -> Request {
    for _ in 0..1000 {
        match world.fresh.front().map(is_raise) {
            Some(true) => return world.fresh.pop_front().expect("it is there"),
            Some(false) => drop(world.serve()),
            None => world.advance(STEP / 20, false),
        }
    }
    panic!("all speak a later format");
}

/// In a cluster of before a new host is about to raise the format, and one of before to join; which of the two arrives first.
pub(super) fn raise_meets_join(rules: Rules, raise_is_first: bool) -> World {
    let mut world = World::small(&[4, 4], 1, rules);
    world.hosts[1].settings.formats = Formats::UNSAID;
    write_meta(&mut world, ROWS);
    world.start(0);
    let raise = raise_of(&mut world);
    world.settle();
    world.start(1);
    world.serve();
    assert_eq!(world.fresh.len(), 1, "it has read the records, and joins");
    if raise_is_first {
        world.fresh.push_front(raise);
    } else {
        world.fresh.push_back(raise);
    }
    world
}

pub(super) const MEETING: Budget = Budget {
    steps: 3,
    faults: 2,
    ..NOTHING
};

#[test]
fn a_format_that_is_raised_and_a_host_of_before_that_joins_do_not_pass_each_other() {
    for raise_is_first in [true, false] {
        let world = raise_meets_join(Rules::KEPT, raise_is_first);
        let name = format!("the raise is first: {raise_is_first}");
        holds(&name, world, MEETING);
    }
}

#[test]
fn no_host_is_shut_out_whatever_dies_is_silent_and_is_upgraded() {
    holds(
        "old and new, two deaths",
        settled_with(old_and_new(Rules::KEPT)),
        Budget {
            steps: 9,
            deaths: 2,
            ..NOTHING
        },
    );
    holds(
        "old and new, a death and a fault",
        settled_with(old_and_new(Rules::KEPT)),
        Budget {
            steps: 4,
            deaths: 1,
            faults: 1,
            ..NOTHING
        },
    );
}

#[test]
fn records_are_written_as_before_until_the_last_host_is_upgraded_and_anew_then() {
    let mut world = world(3, 10);
    for host in &mut world.hosts {
        host.settings.formats = Formats::UNSAID;
    }
    (0..3).for_each(|host| world.start(host));
    world.settle();
    world.pass(20, SECOND);
    for host in 0..3 {
        assert_eq!((in_force(&world), of_before(&world)), (ROWS, 10));
        world.hosts[host].upgrade_to = Some(Formats::SPOKEN);
        world.start(host);
        world.settle();
        world.pass(10, SECOND);
        let held_back_by = status(&world, 0).held_back_by;
        assert_eq!(held_back_by, ["host1", "host2"][host.min(2)..].to_vec());
        assert_eq!(world.lent(), 20);
    }
    assert_eq!((in_force(&world), of_before(&world)), (NAMED, 0));
    let raised = |note: &&Note| **note == Note::Raised(NAMED);
    let notes = world.hosts.iter().flat_map(|host| &host.notes);
    assert_eq!(notes.filter(raised).count(), 1, "one host did");
    right(&world);
}

#[test]
fn a_silent_host_of_before_is_waited_for_until_its_life_is_over() {
    let mut world = world(2, 4);
    world.hosts[1].settings.formats = Formats::UNSAID;
    began_in_order(&mut world);
    world.pass(20, SECOND);
    let remarks = status(&world, 0).remarks;
    let said = "format 1, and in 2 when these hosts speak it: host1 (tpp 1, format 1)";
    assert!(remarks.iter().any(|one| one.ends_with(said)), "{remarks:?}");
    // Cut off for long, fenced, and back.
    apply(&mut world, Action::Stop(1));
    world.pass(600, SECOND);
    assert_eq!(in_force(&world), ROWS);
    apply(&mut world, Action::Resume(1));
    world.settle();
    world.pass(20, SECOND);
    assert_eq!((in_force(&world), world.lent()), (ROWS, 8));
    // A person says that it is off.
    world.hosts[1].kill();
    world.pass(20, SECOND);
    let name = "host1".to_owned();
    world
        .command(0, Command::Release { name })
        .expect("it is silent");
    world.settle();
    world.pass(10, SECOND);
    assert_eq!((in_force(&world), of_before(&world)), (NAMED, 0));
    world.start(1);
    world.settle();
    let refused = world.hosts[1].refused.clone().expect("it is refused");
    let said = "written in format 2, and this host speaks format 1";
    assert!(refused.to_string().contains(said), "{refused}");
    right(&world);
}

#[test]
fn the_first_host_writes_the_newest_format_and_who_does_not_speak_it_is_told_what_would_be_right() {
    let mut world = started(1, 4);
    assert_eq!((in_force(&world), of_before(&world)), (NAMED, 0));
    let refusal = |in_force, oldest, newest| {
        let speaks = formats(oldest, newest);
        Refusal::Format { in_force, speaks }.to_string()
    };
    assert!(refusal(2, 1, 1).contains("newest_format"));
    assert!(refusal(7, 1, 2).contains("it needs a later tpp"));
    assert!(refusal(1, 2, 3).contains("begin with an earlier tpp"));
    world.hosts[0].kill();
    for (speaks, fits) in [
        (formats(1, 1), false),
        (formats(3, 4), false),
        (formats(2, 3), true),
    ] {
        world.hosts[0].settings.formats = speaks;
        world.hosts[0].refused = None;
        world.start(0);
        world.settle();
        let in_force = NAMED;
        let refused = (!fits).then_some(Refusal::Format { in_force, speaks });
        assert_eq!(world.hosts[0].refused, refused);
    }
    right(&world);
}

#[test]
fn the_format_is_not_raised_while_a_host_is_succeeded_by_one_of_before() {
    let mut world = world(2, 1);
    for host in &mut world.hosts {
        host.settings.formats = Formats::UNSAID;
        host.upgrade_to = Some(Formats::SPOKEN);
    }
    world.hosts[0].upgrade_to = None;
    (0..2).for_each(|host| world.start(host));
    world.settle();
    world.pass(10, SECOND);
    world.hosts[0].upgrade_to = Some(Formats::SPOKEN);
    world.start(0);
    let raise = raise_of(&mut world);
    world.hosts[1].upgrade_to = Some(Formats::UNSAID);
    world.start(1);
    // Its first sign of life arrives before what the other one sent.
    world.serve();
    world.fresh.push_front(raise);
    world.settle();
    world.pass(10, SECOND);
    assert_eq!(in_force(&world), ROWS);
    right(&world);
}

#[test]
fn a_host_that_left_holds_nothing_back() {
    let mut world = world(2, 4);
    world.hosts[1].settings.formats = Formats::UNSAID;
    began_in_order(&mut world);
    world.pass(20, SECOND);
    world.tell(1, 1, Event::Leave);
    world.settle();
    world.pass(10, SECOND);
    assert!(world.hosts[1].left);
    assert_eq!((in_force(&world), of_before(&world)), (NAMED, 0));
    right(&world);
}
