//! Becoming one of the hosts: for the first time, again after a crash, and after others thought this one dead.
use super::pending::{Kind, json};
use super::{Core, MILLISECOND, Me};
use crate::engine::{Compare, Transaction, Write};
use crate::keys::Place;
use crate::order::{Note, Order, Refusal};
use crate::records::{Generation, Incarnation, Meta};
use crate::view::Seen;

/// Bounds of what `meta` may say, so that no arithmetic on it goes wrong: a second, and a year.
const TAKEOVER_MS: std::ops::RangeInclusive<u64> = 1_000..=31_536_000_000;

/// The name is somebody's: what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Waits {
    /// It is an earlier life of this very machine.
    pub(super) own: bool,
    beat: i64,
    /// How often it beat meanwhile. One beat may have been under way when its process died.
    changes: u32,
}

impl Core {
    /// What `meta` says is in force, or speaks against taking part.
    pub(super) fn mind_meta(&mut self, orders: &mut Vec<Order>) {
        let key = self.keys.of(&Place::Meta);
        if self.view.meta.is_unreadable() {
            return self.refuse(Refusal::Unreadable { key }, orders);
        }
        let Some(meta) = self.view.meta.read() else {
            return;
        };
        let within =
            TAKEOVER_MS.contains(&meta.takeover_ms) && TAKEOVER_MS.contains(&meta.home_takeover_ms);
        let refusal = if !self.settings.formats.has(meta.format) {
            Refusal::Format {
                in_force: meta.format,
                speaks: self.settings.formats,
            }
        } else if meta.cluster != self.settings.cluster {
            Refusal::OtherCluster {
                theirs: meta.cluster.clone(),
                ours: self.settings.cluster.clone(),
            }
        } else if within {
            self.takeover = meta.takeover_ms * MILLISECOND;
            self.home_takeover = meta.home_takeover_ms * MILLISECOND;
            return;
        } else {
            Refusal::Unreadable { key }
        };
        self.refuse(refusal, orders);
    }

    /// Joins, when it is out and nothing stands against it.
    pub(super) fn join(&mut self, now: u64, orders: &mut Vec<Order>) {
        let asked = self.is_asked(|kind| matches!(kind, Kind::Meta | Kind::Join { .. }));
        // What an earlier life lent must be out before the next begins.
        let may = self.me.is_none() && !self.leaving && self.store.listed && self.local.is_empty();
        if !may || asked || self.end.is_some() || now < self.hold_until {
            return;
        }
        if self.view.meta.is_absent() {
            return self.found(orders);
        }
        let key = self.keys.of(&Place::Generation(self.settings.name.clone()));
        let seen = self.view.generations.get(&self.settings.name);
        match seen.filter(|seen| !seen.is_absent()) {
            None => self.ask_to_join(self.next_life(), 1, now, orders),
            Some(seen) if seen.is_unreadable() => self.refuse(Refusal::Unreadable { key }, orders),
            Some(seen) => {
                if let Some(theirs) = seen.read().cloned() {
                    self.join_as(&theirs, now, orders);
                }
            }
        }
    }

    /// The first host says what all agree upon. It writes the newest format: where nobody is, nobody is shut out.
    fn found(&mut self, orders: &mut Vec<Order>) {
        let meta = Meta {
            format: self.agreed().unwrap_or(self.settings.formats.oldest),
            cluster: self.settings.cluster.clone(),
            takeover_ms: self.settings.takeover / MILLISECOND,
            home_takeover_ms: self.settings.home_takeover / MILLISECOND,
        };
        let key = self.keys.of(&Place::Meta);
        let transaction = Transaction {
            compares: vec![Compare {
                key: key.clone(),
                revision: 0,
            }],
            writes: vec![Write {
                key,
                value: Some(json(&meta)),
            }],
            ..Transaction::default()
        };
        self.ask(transaction, Kind::Meta, orders);
    }

    /// The name has a record.
    fn join_as(&mut self, theirs: &Generation, now: u64, orders: &mut Vec<Order>) {
        if theirs.inc == self.next_life() {
            // The answer that said so was lost.
            let revision = self.view.generation_revision(&self.settings.name);
            return self.is_in(theirs.inc.clone(), theirs.generation, revision, orders);
        }
        if theirs.inc.is_none() {
            return self.ask_to_join(self.next_life(), theirs.generation + 1, now, orders);
        }
        // What others write of it is no sign of life.
        let beat = self.view.beats.get(&self.settings.name);
        let silent = beat.map_or_else(|| self.silent_since(&self.settings.name), |seen| seen.at);
        let mine = theirs.host == self.settings.host;
        // All processes of that life are dead, by the lock; what they sent has arrived or been dropped after so long.
        if mine && now >= silent + self.takeover {
            return self.ask_to_join(theirs.inc.clone(), theirs.generation, now, orders);
        }
        let beat = self
            .view
            .beats
            .get(&self.settings.name)
            .map_or(0, |seen| seen.known);
        match &mut self.waits {
            None => {
                self.waits = Some(Waits {
                    own: mine,
                    beat,
                    changes: 0,
                });
                Self::note(orders, Note::NameWaits { own: mine });
            }
            Some(waits) if waits.beat != beat => {
                (waits.own, waits.beat) = (mine, beat);
                waits.changes += 1;
                if waits.changes > 1 {
                    self.refuse(
                        Refusal::NameInUse {
                            name: self.settings.name.clone(),
                        },
                        orders,
                    );
                }
            }
            Some(_) => {}
        }
    }

    /// Since when no write of a host's two records was seen.
    pub(super) fn silent_since(&self, host: &str) -> u64 {
        let generation = self.view.generations.get(host).map_or(0, |seen| seen.at);
        generation.max(self.view.beats.get(host).map_or(0, |seen| seen.at))
    }

    fn ask_to_join(
        &mut self,
        inc: Incarnation,
        generation: u64,
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        let name = &self.settings.name;
        let record = Generation {
            inc: inc.clone(),
            generation,
            quiet: 0,
            host: self.settings.host.clone(),
        };
        let key = self.keys.of(&Place::Generation(name.clone()));
        let beat = self.keys.of(&Place::Beat(name.clone()));
        let meta = Compare {
            key: self.keys.of(&Place::Meta),
            revision: self.view.meta.revision(),
        };
        let mut transaction = Transaction {
            compares: vec![
                Compare {
                    key: key.clone(),
                    revision: self.view.generation_revision(name),
                },
                Compare {
                    key: beat.clone(),
                    revision: self.view.beats.get(name).map_or(0, Seen::revision),
                },
            ],
            writes: vec![
                Write {
                    key,
                    value: Some(json(&record)),
                },
                Write {
                    key: beat,
                    value: Some(json(&self.sign_of_life(generation, now))),
                },
            ],
            ..Transaction::default()
        };
        if self.rules.join_compares_meta {
            transaction.compares.push(meta);
        }
        self.ask(
            transaction,
            Kind::Join {
                inc,
                generation,
                sent: now,
            },
            orders,
        );
    }

    pub(super) fn joined(
        &mut self,
        inc: Incarnation,
        generation: u64,
        revision: i64,
        sent: u64,
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        self.is_in(inc, generation, revision, orders);
        self.beaten(generation, sent, now, orders);
    }

    fn is_in(&mut self, inc: Incarnation, generation: u64, revision: i64, orders: &mut Vec<Order>) {
        self.me = Some(Me {
            inc,
            generation,
            revision,
        });
        self.waits = None;
        self.renewed = true;
        // What an earlier life sent may have been committed since the records were read, until this very write.
        self.store.listed = false;
        self.beating.next = 0;
        Self::note(orders, Note::Joined(generation));
        self.remember(orders);
    }

    /// What others, or lost answers, made of this host's generation.
    pub(super) fn mind_generation(&mut self, orders: &mut Vec<Order>) {
        let (Some(me), Some(seen)) = (&mut self.me, self.view.generations.get(&self.settings.name))
        else {
            return;
        };
        if seen.known > me.revision {
            self.renewed = true;
            match seen.read().filter(|theirs| theirs.inc == me.inc) {
                Some(theirs) => {
                    me.revision = seen.known;
                    self.beating.next = 0;
                    if theirs.generation != me.generation {
                        me.generation = theirs.generation;
                        self.sums.fenced += 1;
                        Self::note(orders, Note::Fenced(theirs.generation));
                    }
                }
                None => {
                    self.me = None;
                    self.lives += 1;
                }
            }
            self.remember(orders);
        }
    }

    /// Makes sure that nothing that a predecessor sent can be committed any more: all of it is conditioned on the revision of this
    /// record. Only then are the records read, so that what it did until then is known.
    pub(super) fn renew(&mut self, now: u64, orders: &mut Vec<Order>) {
        let asked = self.is_asked(|kind| matches!(kind, Kind::Renew));
        let Some(me) = self
            .me
            .as_ref()
            .filter(|_| !self.renewed && !asked && now >= self.hold_until)
        else {
            return;
        };
        let record = Generation {
            inc: me.inc.clone(),
            generation: me.generation,
            quiet: 0,
            host: self.settings.host.clone(),
        };
        let key = self.keys.of(&Place::Generation(self.settings.name.clone()));
        let transaction = Transaction {
            compares: vec![Compare {
                key: key.clone(),
                revision: me.revision,
            }],
            writes: vec![Write {
                key,
                value: Some(json(&record)),
            }],
            ..Transaction::default()
        };
        self.ask(transaction, Kind::Renew, orders);
    }
}
