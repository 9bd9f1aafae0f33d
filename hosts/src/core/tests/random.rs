//! Large worlds at random, by seeds: five hosts, two hundred sessions, clients that come and go, a store whose answers are lost and late,
//! processes that stop and die. Nothing is ever in use twice, everything comes back, and little moves.
use std::collections::{BTreeMap, VecDeque};

use super::formats::{in_force, of_before};
use super::host::{Host, settings};
use super::search::{Action, apply};
use super::world::World;
use crate::account::Session;
use crate::deadlines::SECOND;
use crate::formats::{Formats, NAMED, ROWS};
use crate::rules::Rules;

const HOSTS: usize = 5;
const ACCOUNTS: usize = 50;
const LIMIT: u32 = 4;
const SESSIONS: usize = ACCOUNTS * LIMIT as usize;
/// A step of time.
const STEP: u64 = SECOND / 10;

/// Numbers that look random, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}

/// A world with clients.
struct Town {
    world: World,
    dice: Dice,
    /// When each of those who wait came, by host.
    lines: Vec<VecDeque<u64>>,
    /// When each session that is held falls free, by host.
    until: Vec<BTreeMap<Session, u64>>,
    /// How many clients there are at a host at any time: who is done comes again.
    clients: Vec<usize>,
    /// How long a session is held.
    hold: u64,
    /// Of a thousand messages so many go wrong.
    trouble: u64,
    /// The longest wait that ended, by host, since it was last looked at.
    longest: Vec<u64>,
}

impl Town {
    fn new(seed: u64, home_percent: u32, formats: Formats) -> Self {
        let mut town = Self::asleep(seed, home_percent, formats, HOSTS as u32);
        for index in 0..HOSTS {
            town.world.time += town.dice.roll(SECOND);
            town.world.start(index);
        }
        town
    }

    /// No host has begun.
    fn asleep(seed: u64, home_percent: u32, formats: Formats, expected: u32) -> Self {
        let host = |index| {
            let mut settings = settings(index, ACCOUNTS, LIMIT);
            settings.home_percent = home_percent;
            settings.formats = formats;
            settings.expected = expected;
            let mut host = Host::new(index, settings, Rules::KEPT, 4 + index as u64 % 2);
            host.login = SECOND / 10;
            host
        };
        Self {
            world: World::new((0..HOSTS).map(host).collect(), ACCOUNTS, LIMIT),
            dice: Dice(seed),
            lines: vec![VecDeque::new(); HOSTS],
            until: vec![BTreeMap::new(); HOSTS],
            clients: vec![0; HOSTS],
            hold: SECOND,
            trouble: 0,
            longest: vec![0; HOSTS],
        }
    }

    /// So much time goes by.
    fn pass(&mut self, time: u64) {
        for _ in 0..time / STEP {
            for index in 0..HOSTS {
                self.serve_clients(index);
            }
            let backwards = self.dice.roll(2) == 0;
            self.world.advance(STEP, backwards);
            self.deliver();
            assert_eq!(
                self.world.wrong,
                None,
                "at {} ms",
                self.world.time / 1_000_000
            );
        }
    }

    fn serve_clients(&mut self, index: usize) {
        let now = self.world.time;
        let host = &mut self.world.hosts[index];
        self.until[index].retain(|session, until| {
            *until > now && host.slots.get(session).is_some_and(|slot| slot.busy)
        });
        let line = &mut self.lines[index];
        if host.core.is_none() {
            line.clear();
            return;
        }
        let deadlines = host.deadlines;
        let clock = host.clock(now);
        for (session, slot) in &mut host.slots {
            slot.busy &=
                self.until[index].contains_key(session) && clock < deadlines.of(slot.class).cut_at;
        }
        line.extend((line.len() + self.until[index].len()..self.clients[index]).map(|_| now));
        line.truncate(self.clients[index].saturating_sub(self.until[index].len()));
        let free: Vec<Session> = host
            .slots
            .iter()
            .filter(|(_, slot)| !slot.busy && host.lends(slot, now))
            .map(|(session, _)| *session)
            .collect();
        for session in free {
            let Some(came) = line.pop_front() else { break };
            self.longest[index] = self.longest[index].max(now - came);
            let held = self.hold / 2 + self.dice.roll(self.hold.max(1));
            self.until[index].insert(session, now + held);
            if let Some(slot) = self.world.hosts[index].slots.get_mut(&session) {
                slot.busy = true;
            }
        }
        let host = &mut self.world.hosts[index];
        host.waiting = u32::try_from(line.len()).expect("not so many");
        host.oldest_ms = line.front().map_or(0, |came| (now - came) / 1_000_000);
    }

    /// What left arrives, or something of it goes wrong.
    fn deliver(&mut self) {
        while !self.world.fresh.is_empty() {
            let lists = self
                .world
                .fresh
                .front()
                .is_some_and(|request| request.transaction.is_none());
            let faults = [
                Action::LoseRequest,
                Action::LoseAnswer,
                Action::Delay { given_up: true },
                Action::DelayAnswer,
                Action::Double,
            ];
            let fault = faults[self.dice.roll(5) as usize];
            let goes_wrong = !lists && self.dice.roll(1000) < self.trouble;
            apply(
                &mut self.world,
                if goes_wrong { fault } else { Action::Serve },
            );
        }
        for late in (0..self.world.late.len()).rev() {
            if self.dice.roll(20) == 0 {
                apply(&mut self.world, Action::Arrive(late));
            }
        }
    }

    /// Something happens to a process or a watch.
    fn strike(&mut self) {
        let index = self.dice.roll(HOSTS as u64) as usize;
        let host = &self.world.hosts[index];
        let action = match (
            self.dice.roll(5),
            host.core.is_some(),
            host.stopped,
            host.deaf,
        ) {
            (_, false, ..) => Action::Start(index),
            (_, _, true, _) => Action::Resume(index),
            (0, ..) => Action::Kill(index),
            (1, ..) => Action::Stop(index),
            (2, _, _, true) => Action::Hear(index),
            (2, ..) => Action::Deafen(index),
            (3, ..) => Action::Succeed(index),
            _ => return self.world.store.compact(),
        };
        if matches!(action, Action::Kill(_)) {
            self.until[index].clear();
        }
        apply(&mut self.world, action);
    }

    /// All that stands still or is dead goes on; nothing goes wrong any more.
    fn mend(&mut self) {
        self.trouble = 0;
        for index in 0..HOSTS {
            if self.world.hosts[index].core.is_none() {
                apply(&mut self.world, Action::Start(index));
            }
            if self.world.hosts[index].stopped {
                apply(&mut self.world, Action::Resume(index));
            }
            if self.world.hosts[index].deaf {
                apply(&mut self.world, Action::Hear(index));
            }
        }
    }

    /// Sessions that went from one host to another by choice since all cores began.
    fn moved(&self) -> u64 {
        let gave = |host: &Host| {
            host.core.as_ref().map_or(0, |core| {
                core.status(host.clock(self.world.time))
                    .sums
                    .gave
                    .values()
                    .sum()
            })
        };
        self.world.hosts.iter().map(gave).sum()
    }
}

#[test]
fn whatever_stops_dies_and_is_lost_no_session_is_used_twice_and_all_come_back() {
    for seed in 0..4 {
        let mut town = Town::new(seed, [0, 50][seed as usize % 2], Formats::SPOKEN);
        town.pass(10 * SECOND);
        town.trouble = 100;
        for _ in 0..40 {
            let index = town.dice.roll(HOSTS as u64) as usize;
            town.clients[index] = town.dice.roll(80) as usize;
            town.strike();
            let for_a_while = town.dice.roll(40) * SECOND / 10;
            town.pass(for_a_while);
        }
        town.mend();
        // Those that died return after a takeover of silence; then each session is usable within two seconds of its claim.
        town.pass(45 * SECOND);
        let held: usize = town.world.hosts.iter().map(|host| host.slots.len()).sum();
        assert_eq!(
            held, SESSIONS,
            "seed {seed}: all sessions are somebody's again"
        );
    }
}

#[test]
fn hosts_that_are_upgraded_one_by_one_while_all_goes_wrong_come_to_the_later_format() {
    for seed in 200..203 {
        let mut town = Town::new(seed, 50, Formats::UNSAID);
        town.pass(10 * SECOND);
        town.trouble = 100;
        for round in 0..40 {
            let index = town.dice.roll(HOSTS as u64) as usize;
            town.clients[index] = town.dice.roll(80) as usize;
            if round % 8 == 7 {
                // The next process of this host is a new one, however its predecessor ends.
                town.world.hosts[round / 8].upgrade_to = Some(Formats::SPOKEN);
            }
            town.strike();
            let for_a_while = town.dice.roll(40) * SECOND / 10;
            town.pass(for_a_while);
            let all_new = (town.world.hosts.iter()).all(|host| host.settings.formats.has(NAMED));
            assert!(all_new || in_force(&town.world) == ROWS, "seed {seed}");
        }
        town.mend();
        for index in 0..HOSTS {
            if town.world.hosts[index].upgrade_to.is_some() {
                apply(&mut town.world, Action::Succeed(index));
            }
        }
        town.pass(45 * SECOND);
        let held: usize = town.world.hosts.iter().map(|host| host.slots.len()).sum();
        assert_eq!(held, SESSIONS, "seed {seed}");
        let came_to = (in_force(&town.world), of_before(&town.world));
        assert_eq!(came_to, (NAMED, 0), "seed {seed}");
    }
}

#[test]
fn sessions_follow_demand_without_coming_and_going() {
    let mut town = Town::new(7, 0, Formats::SPOKEN);
    town.pass(30 * SECOND);
    let calm = town.moved();
    town.pass(60 * SECOND);
    assert_eq!(
        town.moved(),
        calm,
        "nothing moves where nobody waits and all have as much"
    );
    // Four of five sessions are wanted at one host.
    town.clients[0] = 160;
    town.pass(30 * SECOND);
    let followed = town.moved() - calm;
    let at_first = town.world.lent_at(0);
    assert!(
        town.lines[0].len() <= 8,
        "{} still wait while {} of {SESSIONS} are there",
        town.lines[0].len(),
        at_first
    );
    assert!(
        followed <= 160,
        "{followed} moves for about 120 that were lacking"
    );
    let before = town.moved();
    town.pass(60 * SECOND);
    assert!(
        town.moved() - before <= 20,
        "{} moves in a minute in which nothing changed",
        town.moved() - before
    );
}

#[test]
fn where_all_want_more_than_there_is_waits_are_about_alike_and_few_sessions_move() {
    let mut town = Town::new(8, 0, Formats::SPOKEN);
    town.clients = vec![400, 20, 100, 60, 60];
    town.pass(60 * SECOND);
    let before = town.moved();
    town.longest = vec![0; HOSTS];
    town.pass(60 * SECOND);
    let (least, most) = (
        *town.longest.iter().min().expect("five"),
        *town.longest.iter().max().expect("five"),
    );
    let moves = town.moved() - before;
    println!(
        "longest waits {:?} ms, {moves} moves in a minute",
        town.longest
            .iter()
            .map(|wait| wait / 1_000_000)
            .collect::<Vec<_>>()
    );
    assert!(most - least <= 4 * SECOND, "{:?}", town.longest);
    assert!(moves <= 300, "{moves} moves in a minute of steady demand");
}

#[test]
fn a_host_with_a_waiter_and_no_session_gets_one() {
    for seed in 0..2 {
        let mut town = Town::new(100 + seed, 0, Formats::SPOKEN);
        town.clients = vec![60; HOSTS];
        town.clients[4] = 0;
        town.pass(30 * SECOND);
        // It dies, all it had is taken by others who need it, and it comes back with one who waits.
        apply(&mut town.world, Action::Kill(4));
        town.until[4].clear();
        town.pass(30 * SECOND);
        assert_eq!(town.world.hosts[4].slots.len(), 0);
        apply(&mut town.world, Action::Start(4));
        town.clients[4] = 1;
        town.pass(24 * SECOND);
        assert!(
            town.world.lent_at(4) >= 1,
            "seed {seed}: it has {:?}",
            town.world.hosts[4].slots
        );
    }
}

#[test]
fn hosts_that_come_one_by_one_end_with_their_parts_of_home_sessions_and_a_dead_one_takes_no_more_along()
 {
    for seed in 300..302 {
        let mut town = Town::asleep(seed, 50, Formats::SPOKEN, 0);
        town.clients = vec![400; HOSTS];
        town.world.start(0);
        town.pass(40 * SECOND);
        assert_eq!(town.world.home_at(0), SESSIONS / 2);
        town.trouble = 30;
        for index in 1..HOSTS {
            town.world.start(index);
            let for_a_while = town.dice.roll(100) * SECOND / 10;
            town.pass(for_a_while);
        }
        town.pass(160 * SECOND);
        town.mend();
        town.pass(60 * SECOND);
        let before: Vec<u32> = town.world.hosts.iter().map(|it| it.floated).collect();
        for _ in 0..12 {
            town.pass(10 * SECOND);
            let all = [0, 1, 2, 3, 4].map(|index| town.world.home_at(index));
            assert!(all.iter().all(|home| (18..=22).contains(home)), "{all:?}");
        }
        let after: Vec<u32> = town.world.hosts.iter().map(|it| it.floated).collect();
        assert_eq!(after, before, "seed {seed}: it does not come and go");
        let home = town.world.home_at(0);
        apply(&mut town.world, Action::Kill(0));
        town.until[0].clear();
        town.pass(25 * SECOND);
        let held: usize = town.world.hosts.iter().map(|host| host.slots.len()).sum();
        assert_eq!(held, SESSIONS - home, "seed {seed}");
    }
}
