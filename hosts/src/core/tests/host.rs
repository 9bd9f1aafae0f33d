//! A host of a world: the core, and the least of a shell around it that does what it orders.
use std::collections::{BTreeMap, VecDeque};

use crate::account::{Account, Session, Upstream};
use crate::core::Core;
use crate::deadlines::{Class, Deadlines, SECOND};
use crate::engine::{Ticket, Transaction};
use crate::event::{Event, PoolSeen, Use};
use crate::formats::Formats;
use crate::order::{Note, Order, Refusal};
use crate::rules::Rules;
use crate::settings::{Memory, Settings, Start, Takeover};

/// A slot in a host's region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) class: Class,
    pub(crate) withdrawn: bool,
    pub(crate) busy: bool,
    /// It is made floating when nobody holds it; the answer's name.
    pub(crate) floats: Option<Ticket>,
    /// From here on it has a token, by the host's clock.
    pub(crate) token_at: u64,
}

/// A request on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) host: usize,
    /// Which process asks: an answer to a dead one reaches nobody.
    pub(crate) process: u32,
    pub(crate) ticket: Ticket,
    /// `None` lists.
    pub(crate) transaction: Option<Transaction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) index: usize,
    pub(crate) settings: Settings,
    pub(crate) rules: Rules,
    /// Its clock runs at so many fourths of the world's, from an offset of its own.
    pub(crate) rate: u64,
    pub(crate) core: Option<Core>,
    pub(crate) process: u32,
    pub(crate) stopped: bool,
    /// What came while it stood still.
    pub(crate) queue: VecDeque<Event>,
    /// The next revision that its watch tells; `None`: it watches nothing.
    pub(crate) watch: Option<i64>,
    /// Its watch tells nothing for the time being.
    pub(crate) deaf: bool,
    pub(crate) slots: BTreeMap<Session, Slot>,
    pub(crate) deadlines: Deadlines,
    pub(crate) memory: Option<Memory>,
    pub(crate) waiting: u32,
    pub(crate) oldest_ms: u64,
    pub(crate) refused: Option<Refusal>,
    pub(crate) left: bool,
    pub(crate) notes: Vec<Note>,
    pub(crate) keeps_notes: bool,
    /// How long a login takes, ns.
    pub(crate) login: u64,
    /// How many sessions have been made floating.
    pub(crate) floated: u32,
    /// The next process is one of a tpp that speaks these.
    pub(crate) upgrade_to: Option<Formats>,
}

pub(crate) fn upstream() -> Upstream {
    Upstream::named("u")
}

pub(crate) fn account(n: usize) -> Account {
    Account::of(&upstream(), &format!("user{n}"))
}

pub(crate) fn settings(index: usize, accounts: usize, limit: u32) -> Settings {
    Settings {
        prefix: "/tpp/1/".to_owned(),
        upstream: upstream(),
        cluster: "prod".to_owned(),
        name: format!("host{index}"),
        host: format!("machine{index}"),
        takeover: 15 * SECOND,
        home_takeover: 7200 * SECOND,
        home_percent: 0,
        expected: 0,
        min_share: 1,
        fair_gap: SECOND,
        takeover_by: Takeover::Login,
        accounts: (0..accounts).map(|n| (account(n), limit)).collect(),
        version: "1".to_owned(),
        formats: Formats::SPOKEN,
    }
}

impl Host {
    pub(crate) fn new(index: usize, settings: Settings, rules: Rules, rate: u64) -> Self {
        Self {
            index,
            settings,
            rules,
            rate,
            core: None,
            process: 0,
            stopped: false,
            queue: VecDeque::new(),
            watch: None,
            deaf: false,
            slots: BTreeMap::new(),
            deadlines: Deadlines::default(),
            memory: None,
            waiting: 0,
            oldest_ms: 0,
            refused: None,
            left: false,
            notes: Vec::new(),
            keeps_notes: false,
            login: 0,
            floated: 0,
            upgrade_to: None,
        }
    }

    /// Its own clock at a time of the world.
    pub(crate) fn clock(&self, time: u64) -> u64 {
        1000 * SECOND * (self.index as u64 + 1) + time * self.rate / 4
    }

    /// A process begins: a first one, or a successor in the region that is there.
    pub(crate) fn start(&mut self, time: u64) -> Vec<Request> {
        self.process += 1;
        self.settings.formats = self.upgrade_to.take().unwrap_or(self.settings.formats);
        self.watch = None;
        self.queue.clear();
        self.left = false;
        self.refused = None;
        let held = self
            .slots
            .iter()
            .map(|(session, slot)| (*session, slot.class))
            .collect();
        let mut random = [self.index as u8; 16];
        random[..4].copy_from_slice(&self.process.to_be_bytes());
        let start = Start {
            settings: self.settings.clone(),
            memory: self.memory.clone(),
            held,
            random,
        };
        let (core, orders) = Core::with_rules(start, self.rules, self.clock(time));
        self.core = Some(core);
        self.carry_out(orders, time)
    }

    /// All processes of the host end.
    pub(crate) fn kill(&mut self) {
        self.core = None;
        self.stopped = false;
        self.queue.clear();
        self.slots.clear();
        self.memory = None;
        self.deadlines = Deadlines::default();
    }

    /// Something reaches the supervisor, now or when it goes on.
    pub(crate) fn tell(&mut self, event: Event, time: u64) -> Vec<Request> {
        if self.stopped {
            self.queue.push_back(event);
            return Vec::new();
        }
        let now = self.clock(time);
        let orders = self
            .core
            .as_mut()
            .map(|core| core.step(event, now))
            .unwrap_or_default();
        self.carry_out(orders, time)
    }

    pub(crate) fn carry_out(&mut self, orders: Vec<Order>, time: u64) -> Vec<Request> {
        let (mut requests, mut wiped) = (Vec::new(), Vec::new());
        for order in orders {
            match order {
                Order::List { ticket, .. } => requests.push(self.request(ticket, None)),
                Order::Send {
                    ticket,
                    transaction,
                    ..
                } => requests.push(self.request(ticket, Some(transaction))),
                Order::Watch { from } => self.watch = Some(from),
                Order::Lend {
                    session,
                    class,
                    not_before,
                } => self.lend(session, class, not_before.max(self.clock(time))),
                Order::Withdraw { session, at_once } => {
                    let slot = self
                        .slots
                        .get_mut(&session)
                        .expect("only what is held is withdrawn");
                    slot.withdrawn = true;
                    slot.floats = None;
                    slot.busy &= !at_once;
                }
                Order::Float { session, ticket } => {
                    let slot = self
                        .slots
                        .get_mut(&session)
                        .expect("only what is held is made floating");
                    slot.withdrawn = true;
                    slot.floats = Some(ticket);
                }
                Order::Wipe { session } => {
                    let slot = self
                        .slots
                        .remove(&session)
                        .expect("only what is held is wiped");
                    assert!(
                        slot.withdrawn && !slot.busy,
                        "{session:?} is wiped while {slot:?}"
                    );
                    wiped.push(session);
                }
                Order::Deadlines(deadlines) => {
                    assert!(deadlines >= self.deadlines, "deadlines go back");
                    self.deadlines = deadlines;
                }
                Order::Remember(memory) => self.memory = Some(memory),
                Order::Refuse(refusal) => self.refused = Some(refusal),
                Order::Left => self.left = true,
                Order::Note(note) if self.keeps_notes => self.notes.push(note),
                Order::Ready(_) | Order::Note(_) => {}
            }
        }
        for session in wiped {
            requests.extend(self.tell(Event::Wiped(session), time));
        }
        requests
    }

    fn request(&self, ticket: Ticket, transaction: Option<Transaction>) -> Request {
        Request {
            host: self.index,
            process: self.process,
            ticket,
            transaction,
        }
    }

    fn lend(&mut self, session: Session, class: Class, from: u64) {
        let token_at = from + self.login;
        let slot = self.slots.entry(session).or_insert(Slot {
            class,
            withdrawn: false,
            busy: false,
            floats: None,
            token_at,
        });
        slot.class = class;
        slot.withdrawn = false;
        slot.floats = None;
    }

    /// A look at the pool, and at what was withdrawn.
    pub(crate) fn look(&mut self, time: u64) -> Vec<Request> {
        if self.stopped {
            return Vec::new();
        }
        let now = self.clock(time);
        let used = |slot: &Slot| match () {
            () if slot.busy => Use::Busy,
            () if now >= slot.token_at => Use::Free,
            () => Use::Coming,
        };
        let sessions = self
            .slots
            .iter()
            .map(|(session, slot)| (*session, used(slot)))
            .collect();
        let seen = PoolSeen {
            waiting: self.waiting,
            oldest_ms: self.oldest_ms,
            sessions,
        };
        let mut requests = self.make_floating(time);
        let idle = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.withdrawn && !slot.busy && slot.floats.is_none());
        for session in idle.map(|(session, _)| *session).collect::<Vec<_>>() {
            requests.extend(self.tell(Event::Idle(session), time));
        }
        requests.extend(self.tell(Event::Pool(seen), time));
        requests
    }

    /// What is to be made floating, and nobody holds, is so from now on.
    fn make_floating(&mut self, time: u64) -> Vec<Request> {
        let mut told = Vec::new();
        for (session, slot) in self.slots.iter_mut().filter(|(_, slot)| !slot.busy) {
            if let Some(ticket) = slot.floats.take() {
                (slot.class, slot.withdrawn) = (Class::Floating, false);
                told.push(Event::Floats(*session, ticket));
            }
        }
        self.floated += u32::try_from(told.len()).expect("not so many");
        let told = told.into_iter().map(|event| self.tell(event, time));
        told.collect::<Vec<_>>().concat()
    }

    /// Sessions that this host may be using at the upstream now: everything that has not been wiped, until the kernel's timer.
    pub(crate) fn may_use(&self, time: u64) -> impl Iterator<Item = Account> {
        let now = self.clock(time);
        let alive = move |slot: &Slot| now < self.deadlines.of(slot.class).kill_at;
        self.slots
            .iter()
            .filter(move |(_, slot)| alive(slot))
            .map(|(session, _)| session.account)
    }

    /// Whether a request may be stamped with a slot's token now.
    pub(crate) fn lends(&self, slot: &Slot, time: u64) -> bool {
        let now = self.clock(time);
        !slot.withdrawn && now >= slot.token_at && now < self.deadlines.of(slot.class).lend_until
    }
}
