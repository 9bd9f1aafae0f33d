//! Everything that can happen in small worlds, within budgets: no more sessions in use than the account allows, in any of it.
//! (`world.rs` says what is looked at, after every step.)
use super::search::{Budget, Found, crowd, search};
use super::world::{STEP, World};
use crate::deadlines::SECOND;
use crate::event::Event;
use crate::rules::Rules;

pub(super) const NOTHING: Budget = Budget {
    steps: 0,
    faults: 0,
    deaths: 0,
    demands: 0,
    leaves: 0,
    restores: 0,
};

/// A world in which all hosts are in, and the first has the sessions.
pub(super) fn settled(rates: &[u64], limit: u32, rules: Rules) -> World {
    settled_with(World::small(rates, limit, rules))
}

pub(super) fn settled_with(mut world: World) -> World {
    for host in 0..world.hosts.len() {
        world.start(host);
        world.settle();
        world.pass(2, STEP);
    }
    world.pass(3, STEP);
    assert_eq!(
        world.lent(),
        world.limit as usize,
        "all sessions are lent before anything goes wrong"
    );
    world
}

pub(super) fn holds(name: &str, world: World, budget: Budget) {
    let began = std::time::Instant::now();
    let Found { states, wrong } = search(world, budget);
    println!("{name}: {states} states in {:?}", began.elapsed());
    if let Some((wrong, path)) = wrong {
        panic!("{name}: {wrong}\n{path:?}");
    }
    assert!(states > 100, "{name}: something can happen");
}

#[test]
fn a_host_that_is_cut_off_stopped_or_dead_is_followed_by_another() {
    let world = settled(&[4, 5], 1, Rules::KEPT);
    holds(
        "two hosts, two deaths",
        world.clone(),
        Budget {
            steps: 10,
            deaths: 2,
            ..NOTHING
        },
    );
    holds(
        "two hosts, a death, a fault",
        world,
        Budget {
            steps: 9,
            faults: 1,
            deaths: 1,
            ..NOTHING
        },
    );
    let slower = settled(&[5, 4], 1, Rules::KEPT);
    holds(
        "two hosts, of which the second is slower",
        slower,
        Budget {
            steps: 11,
            deaths: 1,
            ..NOTHING
        },
    );
}

#[test]
fn messages_that_are_lost_late_and_doubled_double_no_session() {
    let mut world = settled(&[5, 4], 2, Rules::KEPT);
    crowd(&mut world, 1, true);
    holds(
        "who waits at the second of two",
        world.clone(),
        Budget {
            steps: 6,
            faults: 1,
            demands: 2,
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
fn hosts_that_come_together_into_an_empty_store_share_it() {
    let mut world = World::small(&[4, 5], 2, Rules::KEPT);
    world.start(0);
    world.start(1);
    holds(
        "two hosts that begin",
        world,
        Budget {
            steps: 2,
            faults: 2,
            ..NOTHING
        },
    );
}

#[test]
fn three_hosts_take_what_a_dead_one_had_once() {
    let world = settled(&[4, 5, 4], 1, Rules::KEPT);
    holds(
        "three hosts, two deaths",
        world.clone(),
        Budget {
            steps: 7,
            deaths: 2,
            ..NOTHING
        },
    );
    holds(
        "three hosts, a fault",
        world,
        Budget {
            steps: 9,
            faults: 1,
            ..NOTHING
        },
    );
}

#[test]
fn home_sessions_are_taken_after_their_own_time_only() {
    for rates in [[4, 5], [5, 4]] {
        let mut world = World::small(&rates, 1, Rules::KEPT);
        for host in &mut world.hosts {
            host.settings.home_percent = 100;
            host.settings.home_takeover = 20 * SECOND;
        }
        holds(
            "home sessions",
            settled_with(world),
            Budget {
                steps: 26,
                deaths: 1,
                ..NOTHING
            },
        );
    }
}

#[test]
fn whoever_leaves_gives_everything_away_once() {
    let world = settled(&[4, 5], 2, Rules::KEPT);
    holds(
        "one of two leaves, and a fault",
        world.clone(),
        Budget {
            steps: 5,
            faults: 1,
            leaves: 1,
            ..NOTHING
        },
    );
    holds(
        "one of two leaves, and a death",
        world,
        Budget {
            steps: 6,
            deaths: 1,
            leaves: 1,
            ..NOTHING
        },
    );
}

#[test]
fn whoever_stays_after_all_lends_nothing_that_a_late_leave_gives_away() {
    let budget = Budget {
        steps: 4,
        faults: 1,
        leaves: 2,
        ..NOTHING
    };
    let world = settled(&[4, 5], 2, Rules::KEPT);
    holds("one of two leaves and stays", world, budget);
    let world = about_to_leave(Rules::KEPT);
    holds("the only one, and another comes", world, A_LATE_LEAVE);
}

pub(super) const A_LATE_LEAVE: Budget = Budget {
    steps: 2,
    faults: 1,
    leaves: 1,
    ..NOTHING
};

/// A host that has given its session back, whose records go with the next request that arrives, and whose watch tells nothing. The
/// other one has not begun.
pub(super) fn about_to_leave(rules: Rules) -> World {
    let mut world = World::small(&[4, 4], 1, rules);
    world.start(0);
    world.settle();
    world.pass(3, STEP);
    assert_eq!(world.lent_at(0), 1);
    world.tell(0, 1, Event::Leave);
    let leaves = |world: &World| {
        let request = world.fresh.front();
        let transaction = request.and_then(|request| request.transaction.as_ref());
        transaction.is_some_and(|it| it.writes.iter().all(|write| write.value.is_none()))
    };
    for _ in 0..100 {
        match world.fresh.is_empty() {
            true => world.advance(STEP, false),
            false if leaves(&world) => {
                world.hosts[0].deaf = true;
                return world;
            }
            false => drop(world.serve()),
        }
    }
    panic!("it leaves");
}

#[test]
fn a_store_that_forgot_is_believed_by_nobody() {
    let mut world = settled(&[4, 5], 1, Rules::KEPT);
    world.backup = Some(world.store.clone());
    world.pass(4, STEP);
    holds(
        "a restored store",
        world,
        Budget {
            steps: 11,
            deaths: 1,
            restores: 1,
            ..NOTHING
        },
    );
}
