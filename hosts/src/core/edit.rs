//! Accounts' records are changed by transactions on what was seen of them, several accounts in one.
//!
//! A session that is given is out of use before the transaction leaves. When its answer is lost it counts as given until the record's
//! revision has moved on: a late transaction may be committed at any time as long as it has not. So that it moves on, the record
//! is written as it is.
use std::collections::BTreeSet;

use super::Core;
use super::pending::{Edit, Kind, Lock, What, json};
use crate::account::Account;
use crate::engine::{Compare, Transaction, Write};
use crate::keys::Place;
use crate::order::{Note, Order, Reason};
use crate::records::{Share, Shares};
use crate::settings::Takeover;
use crate::view::Seen;

/// The server takes 128 of each; there is room for what each transaction has beside accounts.
const MOST: usize = 100;

impl Core {
    /// An edit that changes nothing yet. `None` where the record cannot be read or is being changed.
    pub(super) fn draft(&self, account: Account, what: What) -> Option<Edit> {
        let seen = self.view.accounts.get(&account);
        if self.locks.contains_key(&account) || seen.is_some_and(Seen::is_unreadable) {
            return None;
        }
        let limit = self.settings.accounts.get(&account).copied().unwrap_or(0);
        let record = seen.and_then(Seen::read).cloned().unwrap_or(Shares {
            limit,
            ..Shares::default()
        });
        let revision = seen.map_or(0, Seen::revision);
        Some(Edit {
            account,
            revision,
            record,
            others: Vec::new(),
            sessions: Vec::new(),
            what,
        })
    }

    /// Gives a host, this or another, so many sessions in a draft. What does not count of its row goes.
    pub(super) fn set(&self, draft: &mut Shares, host: &str, [floating, home]: [u32; 2]) {
        let generation = match &self.me {
            Some(me) if host == self.settings.name => Some((me.inc.clone(), me.generation)),
            _ => self
                .view
                .generation(host)
                .map(|it| (it.inc.clone(), it.generation)),
        };
        match generation {
            Some((inc, generation)) if floating + home > 0 => {
                draft.shares.insert(
                    host.to_owned(),
                    Share {
                        inc,
                        generation,
                        floating,
                        home,
                    },
                );
            }
            _ => {
                draft.shares.remove(host);
            }
        }
    }

    /// Sends edits, as many in one transaction as fit.
    pub(super) fn send_edits(&mut self, edits: Vec<Edit>, orders: &mut Vec<Order>) {
        let mut batch: Vec<Edit> = Vec::new();
        let mut others: BTreeSet<String> = BTreeSet::new();
        for edit in edits {
            let more = edit
                .others
                .iter()
                .filter(|host| !others.contains(*host))
                .count();
            if !batch.is_empty() && 2 + batch.len() + others.len() + more > MOST {
                self.send_batch(
                    std::mem::take(&mut batch),
                    &std::mem::take(&mut others),
                    orders,
                );
            }
            others.extend(edit.others.iter().cloned());
            batch.push(edit);
        }
        if !batch.is_empty() {
            self.send_batch(batch, &others, orders);
        }
    }

    fn send_batch(&mut self, edits: Vec<Edit>, others: &BTreeSet<String>, orders: &mut Vec<Order>) {
        let Some(me) = &self.me else { return };
        let generation = |host: &str| self.keys.of(&Place::Generation(host.to_owned()));
        let mut transaction = Transaction::default();
        transaction.compares.push(Compare {
            key: generation(&self.settings.name),
            revision: me.revision,
        });
        for host in others.iter().filter(|_| self.rules.compare_generations) {
            let revision = self.view.generation_revision(host);
            transaction.compares.push(Compare {
                key: generation(host),
                revision,
            });
        }
        for edit in &edits {
            let key = self.keys.of(&Place::Account(edit.account));
            transaction.compares.push(Compare {
                key: key.clone(),
                revision: edit.revision,
            });
            transaction.writes.push(Write {
                key,
                value: Some(json(&edit.record.written_in(self.format()))),
            });
        }
        for edit in &edits {
            self.locks.insert(edit.account, Lock::Sent);
        }
        self.ask(transaction, Kind::Edits(edits), orders);
    }

    fn revision_of(&self, account: Account) -> i64 {
        self.view.accounts.get(&account).map_or(0, Seen::revision)
    }

    pub(super) fn edited(&mut self, edits: Vec<Edit>, now: u64, orders: &mut Vec<Order>) {
        let (mut took, mut gave) = (Vec::new(), Vec::new());
        for edit in edits {
            self.locks.remove(&edit.account);
            edit.sessions
                .iter()
                .for_each(|session| self.local.forget(*session));
            self.not_before.remove(&edit.account);
            match edit.what {
                What::Claim(count, reason) => {
                    if let (Reason::TakenOver, Takeover::Expire { token_life }) =
                        (reason, self.settings.takeover_by)
                    {
                        self.not_before.insert(edit.account, now + token_life);
                    }
                    *self.sums.took.entry(reason).or_default() += u64::from(count);
                    add(&mut took, reason, count);
                }
                What::Give(count, to, reason) => {
                    *self.sums.gave.entry(reason).or_default() += u64::from(count);
                    add(&mut gave, (to, reason), count);
                }
                What::Float | What::Terms | What::Settle => {}
            }
        }
        took.into_iter()
            .for_each(|(reason, count)| Self::note(orders, Note::Took(count, reason)));
        gave.into_iter()
            .for_each(|((to, reason), count)| Self::note(orders, Note::Gave(count, to, reason)));
    }

    /// Certainly nothing was written. What was to be given is lent again, or tried anew, by what the records say now.
    pub(super) fn not_edited(&mut self, edits: &[Edit]) {
        for edit in edits {
            self.locks.remove(&edit.account);
            edit.sessions
                .iter()
                .for_each(|session| self.local.forget(*session));
        }
    }

    /// Nobody knows whether it was written, or will be.
    pub(super) fn maybe_edited(&mut self, edits: Vec<Edit>) {
        if !self.rules.ambiguous_is_given {
            return self.not_edited(&edits);
        }
        for edit in edits {
            match edit.what {
                // More than is known may be ours, never less.
                What::Claim(..) | What::Terms => {
                    self.locks.remove(&edit.account);
                }
                What::Give(..) | What::Float | What::Settle => {
                    let Edit {
                        account,
                        revision,
                        sessions,
                        ..
                    } = edit;
                    self.locks
                        .insert(account, Lock::Unsettled { revision, sessions });
                }
            }
        }
    }

    /// Finds out what became of gives whose answers were lost.
    pub(super) fn settle(&mut self, now: u64, orders: &mut Vec<Order>) {
        let mut edits = Vec::new();
        for (account, lock) in self.locks.clone() {
            let Lock::Unsettled { revision, sessions } = lock else {
                continue;
            };
            if self.revision_of(account) != revision {
                self.locks.remove(&account);
                sessions
                    .iter()
                    .for_each(|session| self.local.forget(*session));
            } else if self.in_standing(now) && now >= self.hold_until {
                self.locks.remove(&account);
                match self.draft(account, What::Settle) {
                    Some(draft) => edits.push(Edit { sessions, ..draft }),
                    None => {
                        self.locks
                            .insert(account, Lock::Unsettled { revision, sessions });
                    }
                }
            }
        }
        self.send_edits(edits, orders);
    }
}

fn add<T: PartialEq>(sums: &mut Vec<(T, u32)>, what: T, count: u32) {
    match sums.iter_mut().find(|(known, _)| *known == what) {
        Some((_, sum)) => *sum += count,
        None => sums.push((what, count)),
    }
}
