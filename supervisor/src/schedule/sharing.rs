//! Accounts whose one token fills all their slots: one login at a time whoever waits, and its token is copied.
//!
//! The first slot of such an account logs in for all; what is said of the token in any of them counts for it. A slot *lacks* the
//! token when it holds none, an older one, or one that its holder called spent: it needs a copy, and no login.
//! An account may also be *spared*: its key is used up for a while, so no slot of it has a token until then.

use std::time::Instant;

use super::{Schedule, account::Account, rules::Drawn, slot::Slot};

/// A token to be copied from one slot to another, or put in use once more in its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// The slot that has it.
    pub from: u32,
    /// The slot that lacks it.
    pub to: u32,
}

impl Schedule {
    /// Says whether one login fills all slots of an account, whichever.
    pub fn set_sharing(&mut self, is_shared: bool) {
        self.is_sharing = is_shared;
        for account in &mut self.accounts {
            account.is_shared = is_shared;
        }
    }

    /// Takes note that the server gives all slots of the user of `slot` one and the same token.
    pub fn found_shared(&mut self, slot: u32) {
        if let Some(held) = self.slots.get(&slot) {
            self.accounts[held.account].is_shared = true;
        }
    }

    /// Whether one login fills all slots of the user of `slot`.
    #[must_use]
    pub fn is_shared(&self, slot: u32) -> bool {
        let held = self.slots.get(&slot);
        held.is_some_and(|held| self.accounts[held.account].is_shared)
    }

    /// All slots of the user of `slot`.
    #[must_use]
    pub fn with_siblings(&self, slot: u32) -> Vec<u32> {
        let account = self.slots.get(&slot).map(|held| held.account);
        let slots = account.map(|account| self.accounts[account].slots.iter().copied());
        slots.into_iter().flatten().collect()
    }

    /// The slot that logs in for `slot`.
    pub(super) fn leader(&self, slot: u32) -> u32 {
        let Some(held) = self.slots.get(&slot) else {
            return slot;
        };
        let account = &self.accounts[held.account];
        account.leader().unwrap_or(slot)
    }

    /// The token that has come in is the one for all slots of its user.
    pub(super) fn share(&mut self, slot: u32, account: usize) {
        for other in self.accounts[account].slots.iter() {
            if let Some(other) = self.slots.get_mut(other).filter(|_| *other != slot) {
                other.lacks = true;
            }
        }
    }

    /// Copies that are due. Each is so until it is reported by [`Schedule::copied`].
    #[must_use]
    pub fn copies(&self) -> Vec<Copy> {
        let shared = self.accounts.iter().filter(|account| account.is_shared);
        shared
            .flat_map(|account| {
                let from = self.freshest(account);
                let to = account.slots.iter().filter(|slot| self.lacks(**slot));
                from.into_iter()
                    .flat_map(move |from| to.clone().map(move |to| Copy { from, to: *to }))
            })
            .collect()
    }

    fn lacks(&self, slot: u32) -> bool {
        let held = self.slots.get(&slot);
        held.is_some_and(|held| held.lacks || held.token.is_none())
    }

    /// The slot that holds the account's last token, if that is good.
    fn freshest(&self, account: &Account) -> Option<u32> {
        let held = account.slots.iter();
        let held = held.filter_map(|slot| Some((self.slots.get(slot)?, *slot)));
        let with_token =
            held.filter_map(|(held, slot)| Some((held.token.as_ref()?.since, held, slot)));
        let (_, held, slot) = with_token.max_by_key(|(since, held, slot)| {
            // One that is itself merely spent has the same token as the others.
            (*since, !held.lacks, std::cmp::Reverse(*slot))
        })?;
        let leader = account.leader().and_then(|leader| self.slots.get(&leader));
        let is_good = held.has_good_token() && leader.is_none_or(|leader| !leader.suspect);
        is_good.then_some(slot)
    }

    /// Takes note that a copy is in, and `version` now.
    pub fn copied(&mut self, copy: Copy, version: u64) {
        let token = self
            .slots
            .get(&copy.from)
            .and_then(|from| from.token.clone());
        if let (Some(mut token), Some(to)) = (token, self.slots.get_mut(&copy.to)) {
            token.version = version;
            to.take_copy(token);
        }
    }

    /// Takes note that the upstream wants the token of `slot` spared until then. All slots of its user, which have none from
    /// now on; none if that was known.
    pub fn spare(&mut self, slot: u32, until: Instant) -> Vec<u32> {
        let Some(held) = self.slots.get(&slot) else {
            return Vec::new();
        };
        let account = &mut self.accounts[held.account];
        if !account.spare(until) {
            return Vec::new();
        }
        let slots: Vec<_> = account.slots.iter().copied().collect();
        for slot in &slots {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.empty();
            }
        }
        slots
    }

    /// Whether the token of the user of `slot` is spared at `now`.
    #[must_use]
    pub fn is_spared(&self, slot: u32, now: Instant) -> bool {
        let held = self.slots.get(&slot);
        let until = held.and_then(|held| self.accounts[held.account].spared_until());
        until.is_some_and(|until| now < until)
    }

    /// When the first of them is to be used again, if every user's token is spared, or its login refused.
    #[must_use]
    pub fn all_spared(&self) -> Option<Instant> {
        let with_slots = self.accounts.iter().filter(|one| !one.slots.is_empty());
        let mut first: Option<Instant> = None;
        for account in with_slots {
            match account.spared_until() {
                Some(until) => first = Some(first.map_or(until, |first| first.min(until))),
                None if account.is_refused() => {}
                None => return None,
            }
        }
        first
    }
}

impl Slot {
    /// Takes the token of another slot of its user, or its own once more.
    fn take_copy(&mut self, token: Drawn) {
        self.lacks = false;
        let is_own = self
            .token
            .as_ref()
            .is_some_and(|own| own.since == token.since);
        if is_own {
            self.token = Some(token);
        } else {
            self.fill(token);
        }
    }
}

#[cfg(test)]
mod tests;
