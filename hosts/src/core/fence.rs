//! Taking from the dead: what a silent host has may be claimed after a fence, and all of it when it was silent for long enough.
//!
//! No clock is compared, only patience: both records of the host are as they were so long before, by this host's clock, and the
//! transaction is committed only if they still are. The host's own deadlines began before its last beat was sent.
use super::Core;
use super::pending::{Kind, json};
use crate::account::affinity;
use crate::deadlines::SECOND;
use crate::engine::{Compare, Transaction, Write};
use crate::keys::Place;
use crate::order::{Note, Order};
use crate::records::{Generation, Incarnation, Shares};
use crate::view::Seen;

impl Core {
    /// Fences whom it is time to fence. One that is not in yet watches its own name, which another machine may have.
    pub(super) fn watch_others(&mut self, now: u64, orders: &mut Vec<Order>) {
        if now < self.hold_until
            || !self.store.listed
            || self.leaving
            || (self.me.is_some() && !self.in_standing(now))
        {
            return;
        }
        let mine = |host: &str| host == self.settings.name;
        let hosts = self
            .view
            .generations
            .keys()
            .filter(|host| mine(host) != self.me.is_some());
        for host in hosts.cloned().collect::<Vec<_>>() {
            let asked = |kind: &Kind| matches!(kind, Kind::Fence(of) | Kind::Forget(of) | Kind::Quiet { host: of, .. } if *of == host);
            if !self.is_asked(asked) {
                self.watch_one(&host, now, orders);
            }
        }
    }

    fn watch_one(&mut self, host: &str, now: u64, orders: &mut Vec<Order>) {
        let Some(record) = self.view.generation(host).cloned() else {
            return;
        };
        if record.inc.is_none() {
            return self.forget(host, now, orders);
        }
        // Another life of this very machine comes back by itself.
        if self.me.is_none() && record.host == self.settings.host {
            return;
        }
        let silent = now.saturating_sub(self.silent_since(host));
        if self.is_fenced(host, &record) {
            let step = self.quiet_step();
            if silent >= step * SECOND {
                let quiet = record.quiet.saturating_add(step);
                let over = quiet.saturating_mul(SECOND) >= self.home_takeover;
                let inc = if over {
                    Incarnation::none()
                } else {
                    record.inc.clone()
                };
                self.replace(
                    host,
                    Generation {
                        inc,
                        quiet,
                        ..record
                    },
                    Kind::Quiet {
                        host: host.to_owned(),
                        over,
                    },
                    orders,
                );
            }
        } else if silent >= self.takeover / 30 * self.rules.fence_after + self.turn(host) {
            let generation = record.generation + 1;
            self.replace(
                host,
                Generation {
                    generation,
                    quiet: 0,
                    ..record
                },
                Kind::Fence(host.to_owned()),
                orders,
            );
        }
    }

    /// The records of a host that is over go when nothing is written to it any more, after as long again.
    fn forget(&mut self, host: &str, now: u64, orders: &mut Vec<Order>) {
        let listed = |seen: &Seen<Shares>| {
            seen.read()
                .is_none_or(|record| record.shares.contains_key(host))
        };
        let silent = now >= self.silent_since(host) + self.home_takeover;
        if silent && !self.view.accounts.values().any(listed) {
            let records = [
                Place::Generation(host.to_owned()),
                Place::Beat(host.to_owned()),
            ]
            .map(|place| self.keys.of(&place));
            let beat = self.view.beats.get(host).map_or(0, Seen::revision);
            let revisions = [self.view.generation_revision(host), beat];
            let compares = records.iter().cloned().zip(revisions);
            let transaction = Transaction {
                compares: compares
                    .map(|(key, revision)| Compare { key, revision })
                    .collect(),
                writes: records.map(|key| Write { key, value: None }).into(),
                ..Transaction::default()
            };
            self.ask(transaction, Kind::Forget(host.to_owned()), orders);
        }
    }

    /// Whether a host's floating sessions may be taken: it has not beaten under the generation that is in force.
    pub(super) fn is_fenced(&self, host: &str, record: &Generation) -> bool {
        self.view
            .beat(host)
            .is_none_or(|beat| beat.generation < record.generation)
    }

    /// Silence is added up in steps of so much, s.
    fn quiet_step(&self) -> u64 {
        (4 * self.takeover).min(self.home_takeover).div_ceil(SECOND)
    }

    /// One host after another tries: how much later this one's turn is.
    pub(super) fn turn(&self, thing: &str) -> u64 {
        let mine = affinity(thing, &self.settings.name);
        let earlier = self
            .view
            .beats
            .keys()
            .filter(|host| !self.view.is_over(host) && *host != thing);
        let rank = earlier.filter(|host| affinity(thing, host) > mine).count();
        self.takeover / 150 * u64::try_from(rank).unwrap_or(0)
    }

    /// Writes a host's generation anew, if neither of its records was written meanwhile.
    pub(super) fn replace(
        &mut self,
        host: &str,
        record: Generation,
        kind: Kind,
        orders: &mut Vec<Order>,
    ) {
        let key = self.keys.of(&Place::Generation(host.to_owned()));
        let beat = self.keys.of(&Place::Beat(host.to_owned()));
        let transaction = Transaction {
            compares: vec![
                Compare {
                    key: key.clone(),
                    revision: self.view.generation_revision(host),
                },
                Compare {
                    key: beat,
                    revision: self.view.beats.get(host).map_or(0, Seen::revision),
                },
            ],
            writes: vec![Write {
                key,
                value: Some(json(&record)),
            }],
            ..Transaction::default()
        };
        self.ask(transaction, kind, orders);
    }

    pub(super) fn fenced(&mut self, host: String, orders: &mut Vec<Order>) {
        self.sums.fences += 1;
        Self::note(orders, Note::FencedOther(host));
    }

    pub(super) fn seen_quiet(&mut self, host: String, over: bool, orders: &mut Vec<Order>) {
        if over {
            Self::note(orders, Note::Ended(host));
        }
    }
}
