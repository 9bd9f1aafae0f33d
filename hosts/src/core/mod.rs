//! The core: one host's part of the protocol, as a pure function of what it is told and when.
//!
//! `step` takes one event in and then does whatever is due. Each file here is one of its duties; none keeps a thing that another
//! writes.
mod answers;
mod beat;
mod claim;
mod commands;
mod edit;
mod fence;
mod float;
mod formats;
mod give;
mod intents;
mod join;
mod leave;
mod peers;
mod pending;
mod report;
mod sessions;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::{Account, digest, hex};
use crate::deadlines::{Class, Deadlines};
use crate::engine::{Ticket, Transaction};
use crate::event::Event;
use crate::keys::Keys;
use crate::local::Local;
use crate::order::{Note, Order, Refusal};
use crate::records::Incarnation;
use crate::rules::Rules;
use crate::settings::{Memory, Settings, Start};
use crate::status::{Phase, Sums};
use crate::view::View;

use beat::Beating;
use intents::Intent;
use pending::{Kind, Lock, Pending};
use store::Store;

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// One host's part. See the crate's page for what it promises.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    keys: Keys,
    settings: Arc<Settings>,
    /// Fingerprint of the accounts that are configured.
    config: String,
    rules: Rules,
    /// In force: `meta`'s, once it was read.
    takeover: u64,
    home_takeover: u64,
    random: [u8; 16],
    /// How many lives this process has begun.
    lives: u64,
    me: Option<Me>,
    leaving: bool,
    end: Option<Phase>,
    view: View,
    store: Store,
    tickets: Ticket,
    pending: BTreeMap<Ticket, Pending>,
    /// Nothing but beats is sent before this: the last request went wrong.
    hold_until: u64,
    waits: Option<join::Waits>,
    /// No transaction of a predecessor can be committed any more.
    renewed: bool,
    beating: Beating,
    local: Local,
    locks: BTreeMap<Account, Lock>,
    /// Since when sessions of an account have been nobody's.
    unclaimed: BTreeMap<Account, u64>,
    raising: formats::Raising,
    /// Accounts that are left to others, until when.
    shunned: BTreeMap<Account, u64>,
    /// Accounts whose sessions are not to log in before.
    not_before: BTreeMap<Account, u64>,
    intents: Vec<Intent>,
    pace: intents::Pace,
    ready: bool,
    lending: bool,
    sums: Sums,
}

/// Who this host is in the records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Me {
    inc: Incarnation,
    generation: u64,
    /// Of `g/NAME`: what all that this host writes is conditioned upon.
    revision: i64,
}

impl Core {
    /// A core, and what it wants done first.
    #[must_use]
    pub fn start(start: Start, now: u64) -> (Self, Vec<Order>) {
        Self::with_rules(start, Rules::KEPT, now)
    }

    pub(crate) fn with_rules(start: Start, rules: Rules, now: u64) -> (Self, Vec<Order>) {
        let Start {
            settings,
            memory,
            held,
            random,
        } = start;
        let mut core = Self {
            keys: Keys::new(&settings.prefix, &settings.upstream),
            config: fingerprint(&settings),
            rules,
            takeover: settings.takeover,
            home_takeover: settings.home_takeover,
            settings: Arc::new(settings),
            random,
            lives: 1,
            me: None,
            leaving: false,
            end: None,
            view: View::default(),
            store: Store::default(),
            tickets: 0,
            pending: BTreeMap::new(),
            hold_until: 0,
            waits: None,
            renewed: true,
            beating: Beating::default(),
            local: Local::default(),
            locks: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            raising: formats::Raising::default(),
            shunned: BTreeMap::new(),
            not_before: BTreeMap::new(),
            intents: Vec::new(),
            pace: intents::Pace::default(),
            ready: false,
            lending: false,
            sums: Sums::default(),
        };
        let mut orders = Vec::new();
        if let Some(memory) = memory {
            core.resume(memory, held, now, &mut orders);
        }
        core.act(now, &mut orders);
        (core, orders)
    }

    /// Takes an event in. What is returned is to be done in its order.
    pub fn step(&mut self, event: Event, now: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.end.is_none() {
            self.take(event, now, &mut orders);
            self.act(now, &mut orders);
        }
        orders
    }

    /// What is listed and watched: all keys begin with it.
    #[must_use]
    pub fn root(&self) -> &str {
        self.keys.root()
    }

    /// The latest time for the next [`Event::Tick`], ns.
    #[must_use]
    pub fn wake(&self) -> u64 {
        let soon = self.pace.acted + self.takeover / 60;
        let beats = self.is_asked(|kind| matches!(kind, Kind::Beat { .. } | Kind::Join { .. }));
        if beats || self.me.is_none() {
            soon
        } else {
            soon.min(self.beating.next)
                .max(self.pace.acted + MILLISECOND)
        }
    }

    /// Begins where a predecessor ended: what it lent is lent on, and the next beat is the next one.
    fn resume(
        &mut self,
        memory: Memory,
        held: Vec<(crate::Session, Class)>,
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        self.takeover = memory.takeover;
        self.home_takeover = memory.home_takeover;
        self.store = Store::known(memory.cluster, memory.revision);
        self.beating.beaten = memory.beaten;
        self.beating.generation = memory.generation;
        self.me = Some(Me {
            inc: memory.inc,
            generation: memory.generation,
            revision: memory.generation_revision,
        });
        self.renewed = false;
        for (session, class) in held {
            self.local.hold(session, class, now);
            orders.push(Order::Lend {
                session,
                class,
                not_before: 0,
            });
        }
    }

    fn take(&mut self, event: Event, now: u64, orders: &mut Vec<Order>) {
        match event {
            Event::Tick => {}
            Event::Listing(ticket, header, items) => {
                self.listed(ticket, header, &items, now, orders)
            }
            Event::Unlisted(ticket) => self.unlisted(ticket, now),
            Event::Changed(header, items) => self.changed(header, &items, now, orders),
            Event::WatchLost => self.store.watching = false,
            Event::Answer(ticket, outcome) => self.answered(ticket, outcome, now, orders),
            Event::Pool(seen) => self.pool_seen(&seen, now),
            Event::Idle(session) => self.found_idle(session, orders),
            Event::Wiped(session) => self.found_wiped(session),
            Event::Floats(session, ticket) => self.found_floating(session, ticket),
            Event::Refused(account) => self.shun(account, now, orders),
            Event::Settings(settings) => {
                self.config = fingerprint(&settings);
                self.settings = Arc::from(settings);
            }
            Event::Gone => {
                self.leaving = true;
                self.local.empty();
            }
            Event::Leave => self.leaving = true,
        }
    }

    /// Does whatever is due. Safe at any time, and without effect when nothing is.
    fn act(&mut self, now: u64, orders: &mut Vec<Order>) {
        self.pace.acted = now;
        self.look_at_store(now, orders);
        if self.store.other {
            return;
        }
        self.mind_meta(orders);
        self.mind_generation(orders);
        self.mind_floats(now, orders);
        self.drop_lost(orders);
        self.join(now, orders);
        self.beat(now, orders);
        self.renew(now, orders);
        self.mind_lapse(now, orders);
        self.mind_format(now);
        self.watch_others(now, orders);
        self.settle(now, orders);
        self.lend(now, orders);
        self.plan(now, orders);
        self.send_off(now, orders);
        self.finish_leaving(now, orders);
        self.tell_ready(orders);
    }

    fn refuse(&mut self, refusal: Refusal, orders: &mut Vec<Order>) {
        if self.end.is_none() {
            self.end = Some(Phase::Refused);
            orders.push(Order::Refuse(refusal));
        }
    }

    /// The life that begins when one has to.
    fn next_life(&self) -> Incarnation {
        let random = hex(&self.random);
        Incarnation(hex(&digest(&[
            "tpp life",
            &random,
            &self.lives.to_string(),
        ])[..16]))
    }

    fn send(
        &mut self,
        transaction: Transaction,
        pending: impl FnOnce(&Transaction) -> Pending,
        orders: &mut Vec<Order>,
    ) {
        let ticket = self.ticket();
        self.pending.insert(ticket, pending(&transaction));
        let within = crate::deadlines::answer_within(self.takeover);
        orders.push(Order::Send {
            ticket,
            transaction,
            within,
        });
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// This host's deadlines, as far as beats succeeded.
    fn deadlines(&self) -> Deadlines {
        match self.beating.beaten {
            0 => Deadlines::default(),
            t0 => Deadlines::after(t0, self.takeover, self.home_takeover),
        }
    }

    /// Whether it may ask for more than signs of life: it knows the records and beats under the generation that is in force.
    fn in_standing(&self, now: u64) -> bool {
        let beats = |me: &Me| {
            self.beating.generation == me.generation && now < self.deadlines().floating.lend_until
        };
        self.store.listed && self.renewed && self.me.as_ref().is_some_and(beats)
    }

    /// For a successor. It beats on at once, so it is told of a generation only when this process, having let go of what it lost, beats
    /// under it.
    fn remember(&self, orders: &mut Vec<Order>) {
        let me = self
            .me
            .as_ref()
            .filter(|me| me.generation == self.beating.generation);
        if let (Some(me), Some(cluster)) = (me, self.store.cluster) {
            orders.push(Order::Remember(Memory {
                inc: me.inc.clone(),
                generation: me.generation,
                generation_revision: me.revision,
                cluster,
                revision: self.store.revision,
                beaten: self.beating.beaten,
                takeover: self.takeover,
                home_takeover: self.home_takeover,
            }));
        }
    }

    /// For `/readyz`: whether this host has a part, and sessions in it.
    fn tell_ready(&mut self, orders: &mut Vec<Order>) {
        let ready = self.me.is_some() && !self.leaving && !self.local.is_empty();
        if ready != self.ready {
            self.ready = ready;
            orders.push(Order::Ready(ready));
        }
    }

    fn note(orders: &mut Vec<Order>, note: Note) {
        orders.push(Order::Note(note));
    }
}

/// A fingerprint of accounts and limits: hosts with the same share alike.
fn fingerprint(settings: &Settings) -> String {
    let accounts = settings
        .accounts
        .iter()
        .map(|(account, limit)| format!("{account} {limit}"));
    hex(&digest(&[&accounts.collect::<Vec<_>>().join("\n")])[..4])
}
