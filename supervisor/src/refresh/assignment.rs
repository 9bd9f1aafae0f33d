//! Whose each slot is, and what a change of accounts does to the slots of a book. Pure bookkeeping, in one walk over slots and accounts.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use tpp::{
    config::Credential,
    hash::{HASH_BEGIN, hash_on},
    lending::Legacy,
    shared::Rest,
};

use super::book::{Book, number};

/// What has to be done to put an assignment in force.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// Slots that are nobody's from now on.
    pub(super) retired: Vec<usize>,
    /// Users whose password is another.
    pub(super) new_passwords: HashSet<String>,
    /// Slots that are new, or another user's than before.
    pub(super) added: Vec<(usize, Arc<Credential>)>,
}

/// Tells accounts apart in the region, where their names have no business. Never 0.
///
/// Two names of one key (one in 2⁶⁴) would only mean that one's token is listed under the other's name until it is renewed.
pub(super) fn key(user: &str) -> u64 {
    hash_on(HASH_BEGIN, user.as_bytes()).max(1)
}

/// A few bits of an account's password: another one is told apart but once in 256 times. Who reads them learns no more
/// than that of it.
pub(super) fn tag(account: &Credential) -> u8 {
    let hash = hash_on(key(&account.username), account.password.expose().as_bytes());
    hash.to_be_bytes()
        .into_iter()
        .fold(0, |tag, byte| tag ^ byte)
}

/// The rest that a predecessor noted for `account`, if it still is of its password.
pub(super) fn rest_of(account: &Credential, legacy: &Legacy) -> Option<Rest> {
    legacy.rest.filter(|rest| rest.tag == tag(account))
}

/// Slots that `accounts` want.
pub(super) fn sessions(accounts: &[Credential]) -> usize {
    accounts.iter().map(|account| account.sessions).sum()
}

/// Shares out the slots of a predecessor, of which `legacies` tells by slot: each goes to the account whose it was, those
/// with a token first. Accounts that want more are not served yet: that is [`Book::assign`]'s.
fn adopted(accounts: &[Credential], legacies: &[Legacy]) -> Vec<Option<Arc<Credential>>> {
    let mut left: HashMap<_, _> = accounts
        .iter()
        .map(|account| {
            (
                key(&account.username),
                (account.sessions, Arc::new(account.clone())),
            )
        })
        .collect();
    let mut owners = vec![None; legacies.len()];
    for is_usable in [true, false] {
        for (owner, legacy) in owners.iter_mut().zip(legacies) {
            if legacy.is_usable != is_usable {
                continue;
            }
            let successor = legacy.account.and_then(|key| left.get_mut(&key));
            if let Some((sessions, account)) = successor.filter(|(sessions, _)| *sessions > 0) {
                *sessions -= 1;
                *owner = Some(Arc::clone(account));
            }
        }
    }
    owners
}

impl Book {
    /// Takes over the slots of a predecessor: each goes to the account whose it was. What it holds is lent on;
    /// `fingerprint` tells what to call that.
    pub(super) fn adopt(
        &mut self,
        accounts: &[Credential],
        legacies: &[Legacy],
        now: Instant,
        fingerprint: impl Fn(usize) -> String,
    ) {
        let owners = adopted(accounts, legacies);
        let mut places: HashMap<String, u16> = HashMap::new();
        for (slot, (owner, legacy)) in owners.into_iter().zip(legacies).enumerate() {
            self.slots.push(Default::default());
            let Some(owner) = owner else {
                // One that is empty after all is found so at the next look.
                self.retired.push(slot);
                continue;
            };
            let place = places.entry(owner.username.clone()).or_default();
            self.slots[slot].place = *place;
            *place += 1;
            let is_here = |here: &HashSet<usize>| here.contains(&slot);
            self.slots[slot].is_away = !self.shared.as_ref().is_none_or(is_here);
            self.give(slot, &owner, now);
            if legacy.is_usable && !self.slots[slot].is_away {
                let since = now.checked_sub(legacy.age).unwrap_or(now);
                let user = owner.username.as_str();
                let (version, life) = (legacy.version, legacy.expires_in);
                self.schedule
                    .adopt(number(slot), user, version, since, life);
                self.slots[slot].note.fingerprint = Some(fingerprint(slot));
                self.lend(slot);
            }
        }
        self.schedule.doubt_passwords(now);
    }

    /// Gives `accounts` their slots, and tells what has to be done.
    pub(super) fn assign(&mut self, accounts: Vec<Credential>, now: Instant) -> Assignment {
        let plan = self.share_out(accounts);
        for slot in &plan.retired {
            self.schedule.remove(number(*slot));
            self.slots[*slot].note.fingerprint = None;
            self.owned -= 1;
        }
        for user in &plan.new_passwords {
            self.schedule.password_changed(user, now);
        }
        for (slot, owner) in &plan.added {
            self.give(*slot, owner, now);
        }
        plan
    }

    /// Whether `accounts` fit into `room` slots, those still busy with old leases included.
    pub(super) fn has_room(&self, accounts: &[Credential], room: usize) -> bool {
        let mut held: HashMap<&str, usize> = HashMap::new();
        for (_, owner) in self.assigned() {
            *held.entry(&owner.username).or_default() += 1;
        }
        let kept: usize = accounts
            .iter()
            .map(|account| {
                let held = held.get(account.username.as_str()).copied();
                held.unwrap_or(0).min(account.sessions)
            })
            .sum();
        let added = sessions(accounts) - kept;
        self.slots.len() + added.saturating_sub(self.free.len()) <= room
    }

    /// Gives `accounts` their slots: those they have, then free ones, then new ones.
    fn share_out(&mut self, accounts: Vec<Credential>) -> Assignment {
        let mut plan = Assignment::default();
        let mut left: Vec<_> = accounts
            .into_iter()
            .map(|account| {
                let most = u16::try_from(account.sessions).unwrap_or(u16::MAX);
                let places: BTreeSet<u16> = (0..most).collect();
                (places, Arc::new(account))
            })
            .collect();
        let by_user: HashMap<_, _> = left
            .iter()
            .enumerate()
            .map(|(index, (_, account))| (account.username.clone(), index))
            .collect();
        for slot in 0..self.slots.len() {
            let Some(old) = self.slots[slot].owner.take() else {
                continue;
            };
            let mut new = by_user.get(&old.username).map(|index| &mut left[*index]);
            let place = self.slots[slot].place;
            let keeps_it = new.as_mut().is_some_and(|new| new.0.remove(&place));
            match new {
                Some((_, account)) if keeps_it => {
                    if account.password != old.password {
                        plan.new_passwords.insert(old.username.clone());
                    }
                    self.slots[slot].owner = Some(Arc::clone(account));
                }
                _ => {
                    self.retired.push(slot);
                    plan.retired.push(slot);
                }
            }
        }
        for (places, account) in left {
            for place in places {
                let slot = self.take_free();
                self.slots[slot].place = place;
                self.slots[slot].is_away = self.shared.is_some();
                plan.added.push((slot, Arc::clone(&account)));
            }
        }
        plan
    }

    fn take_free(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Default::default());
            self.slots.len() - 1
        })
    }
}

#[cfg(test)]
mod tests;
