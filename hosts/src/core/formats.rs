//! Which format records are written in: `meta`'s, which one host raises when all speak a later one.
//!
//! All counts who may come back with what it has: a silent host with home sessions is waited for until its life is over, so that it
//! is not shut out when it is back. What was seen of the hosts must be so still when the format is raised, hosts that came
//! meanwhile included: a tpp of before knows nothing of it, and compares `meta` alone when it joins.
use super::Core;
use super::peers::Standing;
use super::pending::{Edit, Kind, What, json};
use crate::account::Account;
use crate::engine::{Compare, Transaction, Unwritten, Write};
use crate::formats::{Formats, NAMED};
use crate::keys::Place;
use crate::order::Order;
use crate::records::Meta;
use crate::view::Seen;

/// Records that are written anew in one round, so that a change of format is no burst.
const REWRITTEN_AT_ONCE: usize = 50;

/// How far this host is with raising the format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Raising {
    /// Since when all have spoken a later one.
    since: Option<u64>,
    /// Not tried before.
    next: u64,
}

impl Core {
    /// The format in force.
    pub(super) fn format(&self) -> u32 {
        let meta = self.view.meta.read();
        meta.map_or(self.settings.formats.oldest, |meta| meta.format)
    }

    /// What a host said last that it speaks.
    pub(super) fn spoken_by(&self, host: &str) -> Formats {
        self.view
            .beat(host)
            .map_or(Formats::UNSAID, |beat| beat.formats)
    }

    /// Hosts that may come back with what they have, with what each speaks.
    pub(super) fn speakers(&self) -> impl Iterator<Item = (&str, Formats)> {
        let hosts = self.view.generations.keys();
        hosts
            .filter(|host| !self.view.is_over(host))
            .map(|host| (host.as_str(), self.spoken_by(host)))
    }

    /// The newest format that all speak: by what they said, this host by what it is, too.
    pub(super) fn agreed(&self) -> Option<u32> {
        let others = self.speakers().filter(|_| self.rules.raise_asks_all);
        self.settings
            .formats
            .newest_of_all(others.map(|(_, formats)| formats))
    }

    /// The newest format that a host speaks, or the one in force.
    pub(super) fn newest_format(&self) -> u32 {
        let spoken = self.speakers().map(|(_, formats)| formats.newest);
        spoken.fold(self.format(), u32::max)
    }

    /// Hosts that keep the format from being raised to a later one.
    pub(super) fn held_back_by(&self, later: u32) -> Vec<String> {
        let hold = self
            .speakers()
            .filter(|(_, formats)| later > self.format() && !formats.has(later));
        hold.map(|(host, _)| host.to_owned()).collect()
    }

    /// What `meta` would become, if it is to be raised.
    fn raised(&self) -> Option<Meta> {
        let meta = self.view.meta.read()?;
        let format = self.agreed().filter(|format| *format > meta.format)?;
        Some(Meta {
            format,
            ..meta.clone()
        })
    }

    /// Looks at all records once more when all seem to speak a later format. One host after the other does.
    pub(super) fn mind_format(&mut self, now: u64) {
        if self.leaving || !self.in_standing(now) || self.raised().is_none() {
            self.raising.since = None;
            return;
        }
        let since = *self.raising.since.get_or_insert(now);
        if now >= self.raising.next.max(since + self.turn("meta")) {
            self.raising.next = now + self.takeover / 5;
            self.list_soon(now);
        }
    }

    /// All records were just read at this revision: raises the format if all speak a later one, and have said nothing since.
    pub(super) fn raise_format(&mut self, revision: i64, now: u64, orders: &mut Vec<Order>) {
        // A sign of life of this very host would be something that was said since.
        let speaks = |kind: &Kind| {
            matches!(
                kind,
                Kind::Beat { .. } | Kind::Join { .. } | Kind::Renew | Kind::Raise(_)
            )
        };
        let (Some(me), Some(meta)) = (&self.me, self.raised()) else {
            return;
        };
        if self.leaving || !self.in_standing(now) || self.is_asked(speaks) {
            return;
        }
        let compare = |place: &Place, revision| Compare {
            key: self.keys.of(place),
            revision,
        };
        let prefixes = self.keys.of_all_hosts().into_iter();
        let unwritten = |prefix| Unwritten {
            prefix,
            since: revision,
        };
        let transaction = Transaction {
            compares: vec![
                compare(&Place::Generation(self.settings.name.clone()), me.revision),
                compare(&Place::Meta, self.view.meta.revision()),
            ],
            unwritten: prefixes
                .filter(|_| self.rules.raise_bars_joins)
                .map(unwritten)
                .collect(),
            writes: vec![Write {
                key: self.keys.of(&Place::Meta),
                value: Some(json(&meta)),
            }],
        };
        self.ask(transaction, Kind::Raise(meta.format), orders);
    }

    /// Accounts' records of before are written anew in the format in force, by one host each: so a tpp that does not read the one of
    /// before can come one day.
    pub(super) fn rewrites(&self, standing: &Standing) -> Vec<Edit> {
        if self.format() < NAMED {
            return Vec::new();
        }
        let is_old = |account: &Account| {
            let record = self.view.accounts.get(account).and_then(Seen::read);
            record.is_some_and(|record| record.has_rows)
        };
        let accounts = self.settings.accounts.keys().copied();
        accounts
            .filter(|account| is_old(account) && self.is_first(*account, standing))
            .filter_map(|account| self.draft(account, What::Terms))
            .take(REWRITTEN_AT_ONCE)
            .collect()
    }
}
