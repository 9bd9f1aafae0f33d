//! A world: a store, hosts, and what is on its way between them; and what must hold in it at every instant.
use std::collections::{BTreeMap, VecDeque};

use serde::de::DeserializeOwned;

use super::host::{Host, Request, account, settings};
use crate::account::Account;
use crate::deadlines::{Class, SECOND};
use crate::engine::{Outcome, Ticket};
use crate::event::{Command, Event};
use crate::formats::NAMED;
use crate::keys::{Keys, Place};
use crate::memory::Store;
use crate::order::{Denied, Refusal};
use crate::records::{Beat, Generation, Meta, Shares};
use crate::rules::Rules;

/// A request or an answer that takes its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Late {
    /// Not committed yet. Whether anybody still waits for its answer.
    Request(Request, bool),
    /// Committed.
    Answer {
        host: usize,
        process: u32,
        ticket: Ticket,
        outcome: Outcome,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// ns since it began.
    pub(crate) time: u64,
    pub(crate) store: Store,
    /// A backup of the store.
    pub(crate) backup: Option<Store>,
    pub(crate) hosts: Vec<Host>,
    /// Requests that just left, in order: their fate is not decided.
    pub(crate) fresh: VecDeque<Request>,
    pub(crate) late: Vec<Late>,
    pub(crate) accounts: usize,
    pub(crate) limit: u32,
    /// What was wrong, if anything was.
    pub(crate) wrong: Option<String>,
    keys: Keys,
}

impl World {
    pub(crate) fn new(hosts: Vec<Host>, accounts: usize, limit: u32) -> Self {
        let keys = Keys::new(&hosts[0].settings.prefix, &hosts[0].settings.upstream);
        Self {
            time: 0,
            store: Store::new(7),
            backup: None,
            hosts,
            fresh: VecDeque::new(),
            late: Vec::new(),
            accounts,
            limit,
            wrong: None,
            keys,
        }
    }

    /// A world of hosts whose clocks run at these rates (fourths), with one account.
    pub(crate) fn small(rates: &[u64], limit: u32, rules: Rules) -> Self {
        let host = |(index, rate): (usize, &u64)| {
            Host::new(index, settings(index, 1, limit), rules, *rate)
        };
        Self::new(rates.iter().enumerate().map(host).collect(), 1, limit)
    }

    pub(crate) fn start(&mut self, host: usize) {
        let requests = self.hosts[host].start(self.time);
        self.fresh.extend(requests);
        self.check();
    }

    /// The next request that left arrives, and so does its answer.
    pub(crate) fn serve(&mut self) -> bool {
        let Some(request) = self.fresh.pop_front() else {
            return false;
        };
        let outcome = self.commit(&request);
        self.answer(request, outcome);
        true
    }

    /// Everything that left arrives, as long as anything leaves.
    pub(crate) fn settle(&mut self) {
        while self.serve() {}
    }

    pub(crate) fn commit(&mut self, request: &Request) -> Option<Outcome> {
        let outcome = request.transaction.as_ref().map(|transaction| {
            let before = self.store.header();
            let fenced = self.fenced_by(transaction);
            let outcome = self.store.commit(transaction);
            if self.store.header() != before {
                self.mind_fence(fenced);
                self.check_records();
            }
            outcome
        });
        self.spread();
        outcome
    }

    /// An answer reaches its host, if the process that asked is still there. `None` lists.
    pub(crate) fn answer(&mut self, request: Request, outcome: Option<Outcome>) {
        let Request {
            host,
            process,
            ticket,
            ..
        } = request;
        let event = match outcome {
            Some(outcome) => Event::Answer(ticket, outcome),
            None => {
                let (header, items) = self.store.list(self.keys.root());
                Event::Listing(ticket, header, items)
            }
        };
        self.tell(host, process, event);
    }

    pub(crate) fn tell(&mut self, host: usize, process: u32, event: Event) {
        if self.hosts[host].process == process {
            let requests = self.hosts[host].tell(event, self.time);
            self.fresh.extend(requests);
            self.check();
            self.spread();
        }
    }

    /// Watches tell what is new, where they are not deaf.
    pub(crate) fn spread(&mut self) {
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            let Some(from) = host.watch.filter(|_| !host.deaf && host.core.is_some()) else {
                continue;
            };
            let event = match self.store.watch(self.keys.root(), from) {
                Ok(items) if items.is_empty() => continue,
                Ok(items) => {
                    host.watch = Some(self.store.header().revision + 1);
                    Event::Changed(self.store.header(), items)
                }
                Err(_) => {
                    host.watch = None;
                    Event::WatchLost
                }
            };
            let requests = host.tell(event, self.time);
            self.fresh.extend(requests);
        }
        self.check();
    }

    /// Time goes by; then every host looks at its pool, in this order.
    pub(crate) fn advance(&mut self, by: u64, backwards: bool) {
        self.time += by;
        self.check();
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        if backwards {
            order.reverse();
        }
        for index in order {
            let requests = self.hosts[index].look(self.time);
            self.fresh.extend(requests);
        }
        self.check();
    }

    /// As [`advance`](Self::advance) for so many steps, with nothing going wrong.
    pub(crate) fn pass(&mut self, steps: u64, by: u64) {
        for _ in 0..steps {
            self.advance(by, false);
            self.settle();
        }
    }

    /// An operator wishes something of a host.
    pub(crate) fn command(&mut self, host: usize, command: Command) -> Result<(), Denied> {
        let host = &mut self.hosts[host];
        let now = host.clock(self.time);
        let core = host.core.as_mut().expect("it runs");
        let orders = core.command(command, now)?;
        let requests = host.carry_out(orders, self.time);
        self.fresh.extend(requests);
        self.check();
        Ok(())
    }

    /// A host that stood still goes on.
    pub(crate) fn resume(&mut self, host: usize) {
        self.hosts[host].stopped = false;
        for event in std::mem::take(&mut self.hosts[host].queue) {
            let requests = self.hosts[host].tell(event, self.time);
            self.fresh.extend(requests);
        }
        let requests = self.hosts[host].look(self.time);
        self.fresh.extend(requests);
        self.check();
    }

    /// Whose generation a transaction would raise, while its life goes on: a fence.
    fn fenced_by(&self, transaction: &crate::engine::Transaction) -> Vec<usize> {
        let raised = |index: &usize| {
            let key = self
                .keys
                .of(&Place::Generation(self.hosts[*index].settings.name.clone()));
            let write = transaction.writes.iter().find(|write| write.key == key)?;
            let new: Generation = serde_json::from_slice(write.value.as_deref()?).ok()?;
            let old: Generation =
                serde_json::from_slice(self.store.get(&key).value.as_deref()?).ok()?;
            (new.generation > old.generation && new.inc == old.inc).then_some(())
        };
        (0..self.hosts.len())
            .filter(|index| raised(index).is_some())
            .collect()
    }

    /// A fence is committed when the host that is fenced, by its own clock, has nothing floating in use any more.
    fn mind_fence(&mut self, fenced: Vec<usize>) {
        for index in fenced {
            let host = &self.hosts[index];
            let (now, kill_at) = (host.clock(self.time), host.deadlines.floating.kill_at);
            if now < kill_at && self.wrong.is_none() {
                self.wrong = Some(format!(
                    "{} is fenced {} ms before its last byte",
                    host.settings.name,
                    (kill_at - now) / 1_000_000
                ));
            }
        }
    }

    /// A record as it stands in the store, if it can be read.
    pub(crate) fn read<T: DeserializeOwned>(&self, place: &Place) -> Option<T> {
        let item = self.store.get(&self.keys.of(place));
        serde_json::from_slice(&item.value?).ok()
    }

    /// In every revision: whoever may come back with what it has speaks the format in force, and nothing is written in a later one.
    fn check_formats(&mut self) {
        let Some(meta) = self.read::<Meta>(&Place::Meta) else {
            return;
        };
        let speaks = |host: &Host| {
            let name = || host.settings.name.clone();
            let counts = |of: &Generation| !of.inc.is_none();
            let generation = self.read(&Place::Generation(name())).filter(counts);
            let beat = self.read::<Beat>(&Place::Beat(name()));
            generation.is_none() || beat.is_some_and(|beat| beat.formats.has(meta.format))
        };
        let of_later = |n: &usize| {
            let shares = self.read::<Shares>(&Place::Account(account(*n)));
            shares.is_some_and(|it| !it.shares.is_empty() && !it.has_rows && meta.format < NAMED)
        };
        let silenced = self.hosts.iter().find(|host| !speaks(host));
        let wrong = silenced.map(|host| format!("{} is shut out", host.settings.name));
        let later = (0..self.accounts).find(of_later);
        let wrong = wrong.or(later.map(|n| format!("account {n} is of a later format")));
        self.wrong = self.wrong.take().or(wrong);
    }

    /// In every revision: shares that count are not more than the limit.
    fn check_records(&mut self) {
        self.check_formats();
        for n in 0..self.accounts {
            let Some(shares) = self.read::<Shares>(&Place::Account(account(n))) else {
                continue;
            };
            let counted = |(host, share): (&String, &crate::records::Share)| {
                let generation = self.read::<Generation>(&Place::Generation(host.clone()));
                share.counted(generation.as_ref()).iter().sum::<u32>()
            };
            let sum: u32 = shares.shares.iter().map(counted).sum();
            if sum > self.limit && self.wrong.is_none() {
                self.wrong = Some(format!(
                    "{sum} shares count of account {n}, which allows {}: {shares:?}",
                    self.limit
                ));
            }
        }
    }

    /// At every instant: no more sessions of an account may be in use, over all hosts, than it allows; and nobody who is in is refused
    /// for its format.
    pub(crate) fn check(&mut self) {
        let is_in = |host: &Host| host.core.as_ref().is_some_and(|core| core.me.is_some());
        let is_shut_out = |host: &&Host| matches!(host.refused, Some(Refusal::Format { .. }));
        let mut shut_out = self.hosts.iter().filter(is_shut_out);
        if let (Some(host), None) = (shut_out.find(|host| is_in(host)), &self.wrong) {
            self.wrong = Some(format!("{} is refused while it is in", host.settings.name));
        }
        let mut used: BTreeMap<Account, Vec<usize>> = BTreeMap::new();
        for host in &self.hosts {
            for account in host.may_use(self.time) {
                used.entry(account).or_default().push(host.index);
            }
        }
        let over = used
            .iter()
            .find(|(_, hosts)| hosts.len() > self.limit as usize);
        if let (Some((account, hosts)), None) = (over, &self.wrong) {
            let at = self.time / 1_000_000;
            self.wrong = Some(format!(
                "at {at} ms hosts {hosts:?} may use sessions of {account}, which allows {}",
                self.limit
            ));
        }
    }

    /// Sessions that serve: over all hosts.
    pub(crate) fn lent(&self) -> usize {
        let lent = |host: &Host| {
            host.slots
                .values()
                .filter(|slot| host.lends(slot, self.time))
                .count()
        };
        self.hosts.iter().map(lent).sum()
    }

    /// Sessions that are a host's own by what its region says.
    pub(super) fn home_at(&self, host: usize) -> usize {
        let slots = self.hosts[host].slots.values();
        slots.filter(|slot| slot.class == Class::Home).count()
    }

    pub(crate) fn lent_at(&self, host: usize) -> usize {
        let host = &self.hosts[host];
        host.slots
            .values()
            .filter(|slot| host.lends(slot, self.time))
            .count()
    }
}

/// A step of time in small worlds.
pub(crate) const STEP: u64 = 2 * SECOND;
