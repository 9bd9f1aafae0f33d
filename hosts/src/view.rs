//! What this host has seen of the records: of each key the newest revision, and when that was first seen.
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::account::Account;
use crate::engine::{Header, Item};
use crate::keys::{Keys, Place};
use crate::records::{Beat, Generation, Incarnation, Meta, Shares};

/// A key as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Seen<T> {
    /// Up to which revision it is known.
    pub(crate) known: i64,
    /// When this state of it was first seen, ns.
    pub(crate) at: u64,
    value: Value<T>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value<T> {
    Absent,
    Read(T),
    Unreadable,
}

/// All that was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct View {
    pub(crate) meta: Seen<Meta>,
    pub(crate) generations: BTreeMap<String, Seen<Generation>>,
    pub(crate) beats: BTreeMap<String, Seen<Beat>>,
    pub(crate) accounts: BTreeMap<Account, Seen<Shares>>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self {
            known: 0,
            at: 0,
            value: Value::Absent,
        }
    }
}

impl<T: DeserializeOwned> Seen<T> {
    /// Takes a newer state in; an older or equal one tells nothing. Says whether it was newer.
    fn take(&mut self, revision: i64, value: Option<&[u8]>, now: u64) -> bool {
        if revision <= self.known {
            return false;
        }
        let value = match value.map(serde_json::from_slice) {
            None => Value::Absent,
            Some(Ok(read)) => Value::Read(read),
            Some(Err(_)) => Value::Unreadable,
        };
        // That a key is still not there is no new state of it.
        if !(matches!(value, Value::Absent) && matches!(self.value, Value::Absent)) {
            self.at = now;
        }
        self.known = revision;
        self.value = value;
        true
    }
}

impl<T> Seen<T> {
    pub(crate) fn read(&self) -> Option<&T> {
        match &self.value {
            Value::Read(value) => Some(value),
            Value::Absent | Value::Unreadable => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.value, Value::Absent)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self.value, Value::Unreadable)
    }

    /// What its `mod_revision` is compared with.
    pub(crate) fn revision(&self) -> i64 {
        if self.is_absent() { 0 } else { self.known }
    }
}

impl View {
    /// Takes one key in. Says what changed, if anything did.
    pub(crate) fn take(&mut self, keys: &Keys, item: &Item, now: u64) -> Option<Place> {
        let place = keys.place(&item.key)?;
        let value = item.value.as_deref();
        let newer = match &place {
            Place::Meta => self.meta.take(item.revision, value, now),
            Place::Generation(host) => {
                self.generations
                    .entry(host.clone())
                    .or_default()
                    .take(item.revision, value, now)
            }
            Place::Beat(host) => {
                self.beats
                    .entry(host.clone())
                    .or_default()
                    .take(item.revision, value, now)
            }
            Place::Account(account) => {
                self.accounts
                    .entry(*account)
                    .or_default()
                    .take(item.revision, value, now)
            }
        };
        newer.then_some(place)
    }

    /// Takes a whole listing in: what is not in it was not there at its revision.
    pub(crate) fn list(&mut self, keys: &Keys, header: Header, items: &[Item], now: u64) {
        for item in items {
            self.take(keys, item, now);
        }
        let mut gone: Vec<Place> = Vec::new();
        let hosts = self
            .generations
            .iter()
            .filter(|(_, seen)| !seen.is_absent() && seen.known < header.revision);
        gone.extend(hosts.map(|(host, _)| Place::Generation(host.clone())));
        let beats = self
            .beats
            .iter()
            .filter(|(_, seen)| !seen.is_absent() && seen.known < header.revision);
        gone.extend(beats.map(|(host, _)| Place::Beat(host.clone())));
        let accounts = self
            .accounts
            .iter()
            .filter(|(_, seen)| !seen.is_absent() && seen.known < header.revision);
        gone.extend(accounts.map(|(account, _)| Place::Account(*account)));
        if !self.meta.is_absent() && self.meta.known < header.revision {
            gone.push(Place::Meta);
        }
        let present: BTreeSet<&str> = items.iter().map(|item| item.key.as_str()).collect();
        gone.retain(|place| !present.contains(keys.of(place).as_str()));
        for place in gone {
            let item = Item {
                key: keys.of(&place),
                value: None,
                revision: header.revision,
            };
            self.take(keys, &item, now);
        }
    }

    pub(crate) fn generation(&self, host: &str) -> Option<&Generation> {
        self.generations.get(host).and_then(Seen::read)
    }

    /// What `mod_revision` of a host's generation is compared with.
    pub(crate) fn generation_revision(&self, host: &str) -> i64 {
        self.generations.get(host).map_or(0, Seen::revision)
    }

    pub(crate) fn beat(&self, host: &str) -> Option<&Beat> {
        self.beats.get(host).and_then(Seen::read)
    }

    /// How much of a record counts as a host's: floating, home. A host whose generation cannot be read has all it is listed with.
    pub(crate) fn counted(&self, shares: &Shares, host: &str) -> [u32; 2] {
        let Some(share) = shares.shares.get(host) else {
            return [0, 0];
        };
        match self.generations.get(host) {
            Some(seen) if seen.is_unreadable() => [share.floating, share.home],
            seen => share.counted(seen.and_then(Seen::read)),
        }
    }

    /// Sessions of a record that nobody has, beside a limit.
    pub(crate) fn available(&self, shares: &Shares, limit: u32) -> u32 {
        let counted = shares
            .shares
            .keys()
            .map(|host| self.counted(shares, host).iter().sum::<u32>());
        limit.saturating_sub(counted.sum())
    }

    /// What each host has over all accounts: floating, home.
    pub(crate) fn totals(&self) -> BTreeMap<String, [u32; 2]> {
        let mut totals: BTreeMap<String, [u32; 2]> = BTreeMap::new();
        for shares in self.accounts.values().filter_map(Seen::read) {
            for host in shares.shares.keys() {
                let counted = self.counted(shares, host);
                if counted != [0, 0] {
                    let total = totals.entry(host.clone()).or_default();
                    *total = [total[0] + counted[0], total[1] + counted[1]];
                }
            }
        }
        totals
    }

    /// Whether a host's life is over: no share counts as its.
    pub(crate) fn is_over(&self, host: &str) -> bool {
        self.generations.get(host).is_none_or(|seen| {
            seen.read()
                .map_or(seen.is_absent(), |it| it.inc == Incarnation::none())
        })
    }
}
