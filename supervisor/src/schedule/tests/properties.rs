//! What holds whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const SLOTS: u32 = 9;

#[derive(Debug, Clone)]
enum Event {
    Pass(u64),
    Plan,
    Finish(usize, Option<Failure>),
    Suspect(u32),
    Renew(u32),
    Remove(u32),
    Insert(u32),
    Password(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let failure = prop_oneof![
        Just(None),
        Just(Some(Failure::Busy)),
        Just(Some(Failure::Trouble)),
        Just(Some(Failure::Refused))
    ];
    prop_oneof![
        3 => (0_u64..400_000).prop_map(Event::Pass),
        6 => Just(Event::Plan),
        6 => (any::<usize>(), failure).prop_map(|(which, how)| Event::Finish(which, how)),
        2 => (0..SLOTS).prop_map(Event::Suspect),
        1 => (0..SLOTS).prop_map(Event::Renew),
        1 => (0..SLOTS).prop_map(Event::Remove),
        1 => (0..SLOTS).prop_map(Event::Insert),
        1 => (0..USERS.len()).prop_map(Event::Password),
    ]
}

fn user(slot: u32) -> &'static str {
    USERS[slot as usize % USERS.len()]
}

/// The schedule, and what the world around it knows.
struct World {
    schedule: Schedule,
    now: Instant,
    versions: u64,
    current: BTreeMap<u32, u64>,
    under_way: Vec<Login>,
}

impl World {
    fn new(concurrency: usize, seed: u64) -> Self {
        let rules = Rules {
            ttl: 600 * SECOND,
            refresh_check: 60 * SECOND,
            login_concurrency: concurrency,
        };
        let mut schedule = Schedule::new(rules, seeded(seed));
        let now = Instant::now();
        (0..SLOTS).for_each(|slot| schedule.insert(slot, user(slot), now));
        Self {
            schedule,
            now,
            versions: 0,
            current: BTreeMap::new(),
            under_way: Vec::new(),
        }
    }

    fn expected(&self) -> Vec<u32> {
        self.under_way
            .iter()
            .filter(|login| self.schedule.expects(login))
            .map(|login| login.slot)
            .collect()
    }

    fn plan(&mut self, concurrency: usize) {
        let plan = self.schedule.plan(self.now);
        assert!(plan.next_look > self.now, "a look in the past");
        assert!(plan.next_look <= self.now + 60 * SECOND, "too long a nap");
        let busy = self.expected();
        for login in &plan.start {
            assert!(
                !busy.contains(&login.slot),
                "two logins under way for slot {}",
                login.slot
            );
        }
        self.under_way.extend(plan.start);
        assert!(
            self.expected().len() <= concurrency,
            "more logins than allowed"
        );
        assert!(
            self.schedule.plan(self.now).start.is_empty(),
            "a plan that is not done when it is taken"
        );
    }

    fn finish(&mut self, which: usize, failure: Option<Failure>) {
        if self.under_way.is_empty() {
            return;
        }
        let login = self.under_way.swap_remove(which % self.under_way.len());
        let (slot, expected) = (login.slot, self.schedule.expects(&login));
        self.versions += 1;
        let counted = match failure {
            None => self
                .schedule
                .succeeded(login, self.versions, None, self.now),
            Some(failure) => self.schedule.failed(login, failure, self.now),
        };
        assert_eq!(counted, expected);
        if counted && failure.is_none() {
            self.current.insert(slot, self.versions);
            assert_eq!(state(&self.schedule, slot), SlotState::Usable);
        }
    }

    fn apply(&mut self, event: &Event, concurrency: usize) {
        match event {
            Event::Pass(ms) => self.now += Duration::from_millis(*ms),
            Event::Plan => self.plan(concurrency),
            Event::Finish(which, failure) => self.finish(*which, *failure),
            Event::Suspect(slot) => {
                let version = self.current.get(slot).copied().unwrap_or(0);
                self.schedule.suspect(*slot, used(version), self.now);
            }
            Event::Renew(slot) => {
                self.schedule.renew(*slot, self.now);
            }
            Event::Remove(slot) => {
                self.schedule.remove(*slot);
                self.current.remove(slot);
            }
            Event::Insert(slot) => {
                self.schedule.insert(*slot, user(*slot), self.now);
                self.current.remove(slot);
            }
            Event::Password(index) => self.schedule.password_changed(USERS[*index], self.now),
        }
    }

    fn is_whole(&self) -> bool {
        (0..SLOTS)
            .filter_map(|slot| self.schedule.view(slot))
            .all(|view| view.state == SlotState::Usable)
    }
}

proptest! {
    #[test]
    fn the_promises_hold_and_all_slots_recover_when_the_server_does(
        concurrency in 1_usize..6,
        seed in any::<u64>(),
        events in proptest::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new(concurrency, seed);
        for event in &events {
            world.apply(event, concurrency);
        }
        // From here on every login is a success: a few looks later no slot is left behind.
        for _ in 0..200 {
            while !world.under_way.is_empty() {
                world.finish(0, None);
            }
            world.plan(concurrency);
            if world.under_way.is_empty() {
                if world.is_whole() {
                    break;
                }
                world.now = world.schedule.plan(world.now).next_look;
            }
        }
        prop_assert!(world.is_whole());
    }
}
