//! The life of a host, one event after the other.
use super::host::{Host, account, settings};
use super::world::World;
use crate::deadlines::SECOND;
use crate::event::{Command, Event};
use crate::formats::Formats;
use crate::keys::{Keys, Place};
use crate::order::{Denied, Note, Refusal};
use crate::records::Meta;
use crate::rules::Rules;
use crate::status::Phase;

/// A world of hosts with many accounts of two sessions each.
pub(super) fn world(hosts: usize, accounts: usize) -> World {
    let host = |index| {
        let mut host = Host::new(index, settings(index, accounts, 2), Rules::KEPT, 4);
        host.keeps_notes = true;
        host
    };
    World::new((0..hosts).map(host).collect(), accounts, 2)
}

pub(super) fn started(hosts: usize, accounts: usize) -> World {
    let mut world = world(hosts, accounts);
    (0..hosts).for_each(|host| world.start(host));
    world.settle();
    world.pass(20, SECOND);
    assert_eq!(world.lent(), 2 * accounts, "all sessions are lent");
    world
}

pub(super) fn right(world: &World) {
    assert_eq!(world.wrong, None);
}

pub(super) fn phase(world: &World, host: usize) -> Option<Phase> {
    let host = &world.hosts[host];
    host.core
        .as_ref()
        .map(|core| core.status(host.clock(world.time)).phase)
}

#[test]
fn the_first_host_has_all_and_those_that_come_get_their_part() {
    let mut world = world(3, 30);
    world.start(0);
    world.settle();
    world.pass(2, SECOND);
    assert_eq!(world.lent_at(0), 60);
    world.start(1);
    world.start(2);
    world.settle();
    world.pass(90, SECOND);
    let lent: Vec<usize> = (0..3).map(|host| world.lent_at(host)).collect();
    assert_eq!(lent.iter().sum::<usize>(), 60, "{lent:?}");
    assert!(lent.iter().all(|lent| (15..=25).contains(lent)), "{lent:?}");
    right(&world);
}

#[test]
fn hosts_that_begin_together_share_at_once() {
    let mut world = world(3, 30);
    for host in &mut world.hosts {
        host.settings.expected = 3;
    }
    (0..3).for_each(|host| world.start(host));
    world.settle();
    world.pass(30, SECOND / 10);
    let lent: Vec<usize> = (0..3).map(|host| world.lent_at(host)).collect();
    assert_eq!(lent.iter().sum::<usize>(), 60, "{lent:?}");
    assert!(lent.iter().all(|lent| (10..=30).contains(lent)), "{lent:?}");
    right(&world);
}

#[test]
fn a_dead_hosts_sessions_are_lent_elsewhere_within_seconds_of_takeover() {
    let mut world = started(3, 10);
    let before = world.lent_at(0);
    world.hosts[0].kill();
    world.pass(11, SECOND);
    assert_eq!(world.lent(), 20 - before, "nobody takes them before");
    world.pass(7, SECOND);
    assert_eq!(world.lent(), 20);
    right(&world);
}

#[test]
fn a_host_that_returns_has_what_it_had() {
    let mut world = started(2, 10);
    let before = world.lent_at(0);
    assert!(before > 0);
    world.hosts[0].kill();
    world.pass(1, SECOND);
    world.hosts[1].kill();
    world.start(0);
    world.settle();
    world.pass(10, SECOND);
    assert_eq!(
        (phase(&world, 0), world.lent()),
        (Some(Phase::Waiting), 0),
        "it waits until it is certain"
    );
    let notes = &world.hosts[0].notes;
    assert!(notes.contains(&Note::NameWaits { own: true }), "{notes:?}");
    world.pass(8, SECOND);
    assert!(
        world.lent_at(0) >= before,
        "{} of {before}",
        world.lent_at(0)
    );
    right(&world);
}

#[test]
fn a_successor_lends_on_and_beats_in_time() {
    let mut world = started(2, 10);
    let before = world.lent_at(0);
    world.start(0);
    assert_eq!(
        world.lent_at(0),
        before,
        "a supervisor's death costs nothing"
    );
    world.settle();
    world.pass(30, SECOND);
    assert_eq!(world.lent(), 20);
    let fenced = world
        .hosts
        .iter()
        .flat_map(|host| &host.notes)
        .any(|note| matches!(note, Note::FencedOther(_)));
    assert!(!fenced, "nobody thought it dead");
    right(&world);
}

#[test]
fn a_clone_is_refused_while_the_name_is_alive_and_waits_while_it_is_silent() {
    let mut world = started(2, 4);
    world.hosts[1].kill();
    world.hosts[1].settings.name = "host0".to_owned();
    world.start(1);
    world.settle();
    world.pass(10, SECOND);
    assert_eq!(
        world.hosts[1].refused,
        Some(Refusal::NameInUse {
            name: "host0".to_owned()
        })
    );
    world.hosts[0].kill();
    world.hosts[1].refused = None;
    world.start(1);
    world.settle();
    world.pass(600, SECOND);
    assert_eq!(phase(&world, 1), Some(Phase::Waiting));
    let notes = &world.hosts[1].notes;
    assert!(notes.contains(&Note::NameWaits { own: false }), "{notes:?}");
    world.pass(7200, SECOND);
    assert_eq!(
        phase(&world, 1),
        Some(Phase::Joined),
        "the other has been silent for two hours"
    );
    right(&world);
}

#[test]
fn another_cluster_and_another_format_are_refused() {
    let meta = |format, cluster: &str| Meta {
        format,
        cluster: cluster.to_owned(),
        takeover_ms: 15_000,
        home_takeover_ms: 7_200_000,
    };
    let refused = |value: Vec<u8>| {
        let mut world = world(1, 1);
        let keys = Keys::new("/tpp/1/", &super::host::upstream());
        world
            .store
            .write(vec![(keys.of(&Place::Meta), Some(value))]);
        world.start(0);
        world.settle();
        world.hosts[0].refused.clone()
    };
    let json = |meta: &Meta| serde_json::to_vec(meta).expect("it is JSON");
    assert!(matches!(
        refused(json(&meta(1, "test"))),
        Some(Refusal::OtherCluster { .. })
    ));
    assert_eq!(
        refused(json(&meta(3, "prod"))),
        Some(Refusal::Format {
            in_force: 3,
            speaks: Formats::SPOKEN
        })
    );
    assert!(matches!(
        refused(b"{".to_vec()),
        Some(Refusal::Unreadable { .. })
    ));
    assert!(matches!(
        refused(json(&Meta {
            takeover_ms: u64::MAX,
            ..meta(1, "prod")
        })),
        Some(Refusal::Unreadable { .. })
    ));
    assert_eq!(refused(json(&meta(1, "prod"))), None);
}

#[test]
fn whoever_leaves_hands_everything_over_and_the_last_leaves_nothing_behind() {
    let mut world = started(2, 10);
    world.tell(0, 1, Event::Leave);
    world.settle();
    world.pass(5, SECOND);
    assert!(world.hosts[0].left);
    assert_eq!((world.lent_at(0), world.lent_at(1)), (0, 20));
    world.tell(1, 1, Event::Leave);
    world.settle();
    world.pass(5, SECOND);
    assert!(world.hosts[1].left);
    let (_, keys) = world.store.list("/tpp/1/u/g/");
    assert!(keys.is_empty(), "{keys:?}");
    right(&world);
}

#[test]
fn what_a_pool_had_that_is_gone_is_lent_elsewhere_at_once() {
    let mut world = started(2, 10);
    assert!(world.lent_at(0) > 0);
    // As the shell finds it: no lease, no token.
    world.hosts[0].slots.clear();
    world.tell(0, 1, Event::Gone);
    world.settle();
    world.pass(5, SECOND);
    assert!(world.hosts[0].left);
    assert_eq!((world.lent_at(0), world.lent_at(1)), (0, 20));
    right(&world);
}

/// Half of what a host has is its own; one of two has been there for a minute, and has all.
pub(super) fn first_of_two_alone() -> World {
    let mut world = world(2, 20);
    for host in &mut world.hosts {
        host.settings.home_percent = 50;
    }
    world.start(0);
    world.settle();
    world.pass(60, SECOND);
    world
}

#[test]
fn a_host_that_was_alone_keeps_no_more_home_sessions_than_the_others() {
    let mut world = first_of_two_alone();
    assert_eq!((world.home_at(0), world.lent_at(0)), (20, 40));
    world.start(1);
    world.settle();
    world.pass(300, SECOND);
    let both = [world.home_at(0), world.home_at(1)];
    assert!(both.iter().all(|home| (8..=12).contains(home)), "{both:?}");
    right(&world);
}

#[test]
fn whoever_stays_after_all_has_a_part_again() {
    let mut world = started(2, 10);
    assert_eq!(world.command(0, Command::Stay), Err(Denied::NotLeaving));
    let slots = world.hosts[0].slots.values_mut();
    slots.for_each(|slot| slot.busy = true);
    let before = world.lent_at(0);
    assert!(before > 0);
    world.tell(0, 1, Event::Leave);
    world.settle();
    world.pass(3, SECOND);
    assert_eq!(phase(&world, 0), Some(Phase::Leaving));
    assert_eq!(world.command(0, Command::Stay), Ok(()));
    world.settle();
    world.pass(3, SECOND);
    assert_eq!(phase(&world, 0), Some(Phase::Joined));
    assert!(world.lent_at(0) >= before, "what was held is lent on");
    let slots = world.hosts[0].slots.values_mut();
    slots.for_each(|slot| slot.busy = false);
    world.tell(0, 1, Event::Leave);
    world.settle();
    world.pass(5, SECOND);
    assert!(world.hosts[0].left);
    assert_eq!(world.command(0, Command::Stay), Ok(()));
    world.settle();
    world.hosts[0].waiting = 1;
    world.pass(20, SECOND);
    assert_eq!(phase(&world, 0), Some(Phase::Joined));
    assert!(world.lent_at(0) > 0, "who waits there gets something");
    assert_eq!(world.lent(), 20);
    right(&world);
}

#[test]
fn a_refused_account_is_left_to_others_for_a_while() {
    let mut world = started(2, 10);
    let (session, _) = world.hosts[0].slots.iter().next().expect("it has some");
    let account = session.account;
    world.tell(0, 1, Event::Refused(account));
    world.settle();
    world.pass(10, SECOND);
    assert!(
        world.hosts[0]
            .slots
            .keys()
            .all(|session| session.account != account)
    );
    assert_eq!(world.lent(), 20, "the other has it");
    right(&world);
}

#[test]
fn a_lowered_limit_is_in_force_at_once_and_a_raised_one_when_all_agree() {
    let mut world = started(2, 4);
    let record = |world: &World| {
        let key = Keys::new("/tpp/1/", &super::host::upstream()).of(&Place::Account(account(0)));
        serde_json::from_slice::<crate::records::Shares>(
            &world.store.get(&key).value.expect("it is there"),
        )
        .expect("it reads")
    };
    let sum = |world: &World| {
        record(world)
            .shares
            .values()
            .map(|share| share.floating + share.home)
            .sum::<u32>()
    };
    let configure = |world: &mut World, host: usize, limit| {
        world.hosts[host]
            .settings
            .accounts
            .insert(account(0), limit);
        let settings = Box::new(world.hosts[host].settings.clone());
        world.tell(host, 1, Event::Settings(settings));
        world.settle();
        world.pass(8, SECOND);
    };
    configure(&mut world, 0, 1);
    assert_eq!((record(&world).limit, sum(&world)), (1, 1));
    configure(&mut world, 0, 2);
    assert_eq!((record(&world).limit, sum(&world)), (2, 2));
    configure(&mut world, 1, 1);
    configure(&mut world, 1, 2);
    world.limit = 3;
    configure(&mut world, 0, 3);
    assert_eq!(record(&world).limit, 2, "the other does not know of it");
    configure(&mut world, 1, 3);
    world.pass(8, SECOND);
    assert_eq!((record(&world).limit, sum(&world)), (3, 3));
    right(&world);
}

#[test]
fn the_last_idle_session_goes_where_somebody_waits_and_nothing_is() {
    let hosts = [0, 1].map(|index| Host::new(index, settings(index, 1, 1), Rules::KEPT, 4));
    let mut world = World::new(hosts.into(), 1, 1);
    world.start(0);
    world.settle();
    world.pass(2, SECOND);
    world.start(1);
    world.settle();
    world.pass(20, SECOND);
    let without = usize::from(world.lent_at(0) == 1);
    assert_eq!((world.lent(), world.lent_at(without)), (1, 0));
    world.hosts[without].waiting = 1;
    world.pass(10, SECOND);
    assert_eq!((world.lent(), world.lent_at(without)), (1, 1));
    right(&world);
}
