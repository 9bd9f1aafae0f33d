//! Whose each slot is, and what a change of accounts does to the slots. Pure bookkeeping.

use std::sync::Arc;

use tpp::{
    config::Credential,
    hash::{HASH_BEGIN, hash_on},
    lending::Legacy,
};

/// The accounts and their slots. A slot is never moved: it keeps its account until that has no use for it.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// By slot; `None`: it is nobody's.
    owners: Vec<Option<Arc<Credential>>>,
    /// Nobody's slots that may still be leased or hold a token.
    retired: Vec<usize>,
    /// Nobody's slots that are empty.
    free: Vec<usize>,
}

/// What has to be done to put an assignment in force.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Slots that are nobody's from now on.
    pub(super) retired: Vec<usize>,
    /// Users whose password is another.
    pub(super) new_passwords: Vec<String>,
    /// Slots that are new, or another user's than before.
    pub(super) added: Vec<(usize, String)>,
}

/// Tells accounts apart in the region, where their names have no business. Never 0.
///
/// Two names of one key (one in 2⁶⁴) would only mean that one's token is listed under the other's name until it is renewed.
pub(super) fn key(user: &str) -> u64 {
    hash_on(HASH_BEGIN, user.as_bytes()).max(1)
}

/// Slots that `accounts` want.
pub(super) fn sessions(accounts: &[Credential]) -> usize {
    accounts.iter().map(|account| account.sessions).sum()
}

impl Accounts {
    /// Takes over the slots of a predecessor, of which `legacies` tells by slot: each goes to the account whose it was,
    /// those with a token first; what the accounts have no use for is retired. Accounts that want more are not served yet:
    /// that is [`Self::assign`]'s.
    pub(super) fn adopted(accounts: &[Credential], legacies: &[Legacy]) -> Self {
        let mut left: Vec<_> = accounts
            .iter()
            .map(|account| {
                (
                    key(&account.username),
                    account.sessions,
                    Arc::new(account.clone()),
                )
            })
            .collect();
        let mut owners = vec![None; legacies.len()];
        for is_usable in [true, false] {
            for (owner, legacy) in owners.iter_mut().zip(legacies) {
                if legacy.is_usable != is_usable {
                    continue;
                }
                let heir = left
                    .iter_mut()
                    .find(|(key, sessions, _)| *sessions > 0 && legacy.account == Some(*key));
                if let Some((_, sessions, account)) = heir {
                    *sessions -= 1;
                    *owner = Some(Arc::clone(account));
                }
            }
        }
        // One that is empty after all is found so at the next look.
        let retired = (0..owners.len()).filter(|slot| owners[*slot].is_none());
        Self {
            retired: retired.collect(),
            free: Vec::new(),
            owners,
        }
    }

    /// Nobody's slots that may still be leased or hold a token.
    pub(super) fn retired(&self) -> &[usize] {
        &self.retired
    }

    /// The account of `slot`.
    ///
    /// # Panics
    /// If it is nobody's; the schedule names no such slot.
    pub(super) fn of(&self, slot: usize) -> Arc<Credential> {
        Arc::clone(
            self.owners[slot]
                .as_ref()
                .expect("a slot that is scheduled has an account"),
        )
    }

    /// The account of `slot`, if it has one.
    pub(super) fn owner(&self, slot: usize) -> Option<&Arc<Credential>> {
        self.owners.get(slot)?.as_ref()
    }

    /// Slots that are somebody's.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (usize, &Credential)> {
        let owners = self.owners.iter().enumerate();
        owners.filter_map(|(slot, owner)| Some((slot, owner.as_deref()?)))
    }

    /// Slots there ever were.
    pub(super) fn slots(&self) -> usize {
        self.owners.len()
    }

    /// Makes retired slots free again, as far as `is_empty` says so.
    pub(super) fn reclaim_retired(&mut self, mut is_empty: impl FnMut(usize) -> bool) {
        let (empty, busy) = self.retired.drain(..).partition(|slot| is_empty(*slot));
        self.retired = busy;
        self.free.extend::<Vec<_>>(empty);
    }

    /// Whether `accounts` fit into `room` slots, those still busy with old leases included.
    pub(super) fn has_room(&self, accounts: &[Credential], room: usize) -> bool {
        let kept: usize = accounts
            .iter()
            .map(|account| self.held_by(&account.username).min(account.sessions))
            .sum();
        let added = sessions(accounts) - kept;
        self.owners.len() + added.saturating_sub(self.free.len()) <= room
    }

    fn held_by(&self, user: &str) -> usize {
        self.assigned()
            .filter(|(_, owner)| owner.username == user)
            .count()
    }

    /// Gives `accounts` their slots: those they have, then free ones, then new ones.
    pub(super) fn assign(&mut self, accounts: Vec<Credential>) -> Plan {
        let mut plan = Plan::default();
        let mut left: Vec<_> = accounts
            .into_iter()
            .map(|account| (account.sessions, Arc::new(account)))
            .collect();
        for slot in 0..self.owners.len() {
            let Some(old) = self.owners[slot].take() else {
                continue;
            };
            let new = left
                .iter_mut()
                .find(|(_, account)| account.username == old.username);
            match new {
                Some((sessions, account)) if *sessions > 0 => {
                    *sessions -= 1;
                    if account.password != old.password
                        && !plan.new_passwords.contains(&old.username)
                    {
                        plan.new_passwords.push(old.username.clone());
                    }
                    self.owners[slot] = Some(Arc::clone(account));
                }
                _ => {
                    self.retired.push(slot);
                    plan.retired.push(slot);
                }
            }
        }
        for (sessions, account) in left {
            for _ in 0..sessions {
                let slot = self.take_free();
                plan.added.push((slot, account.username.clone()));
                self.owners[slot] = Some(Arc::clone(&account));
            }
        }
        plan
    }

    fn take_free(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.owners.push(None);
            self.owners.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use tpp::{config::Secret, pool::Origin};

    use super::*;

    fn account(user: &str, password: &str, sessions: usize) -> Credential {
        Credential {
            username: user.to_owned(),
            password: Secret::new(password.to_owned()),
            sessions,
        }
    }

    fn added(slots: &[(usize, &str)]) -> Vec<(usize, String)> {
        slots
            .iter()
            .map(|(slot, user)| (*slot, (*user).to_owned()))
            .collect()
    }

    fn legacy(user: &str, is_usable: bool) -> Legacy {
        Legacy {
            account: (!user.is_empty()).then(|| key(user)),
            version: 1,
            is_usable,
            age: std::time::Duration::ZERO,
            origin: Origin::NONE,
            rest: None,
        }
    }

    #[test]
    fn a_predecessors_slots_go_to_the_accounts_whose_they_were() {
        let legacies = [
            legacy("b", true),
            legacy("a", false),
            legacy("", false),
            legacy("gone", true),
            legacy("a", true),
            legacy("b", true),
        ];
        let wanted = vec![account("a", "x", 1), account("b", "x", 3)];
        let mut accounts = Accounts::adopted(&wanted, &legacies);
        let owners: Vec<_> = accounts
            .assigned()
            .map(|(slot, owner)| (slot, owner.username.as_str()))
            .collect();
        assert_eq!(
            owners,
            [(0, "b"), (4, "a"), (5, "b")],
            "tokens in hand first"
        );
        assert_eq!(accounts.retired(), [1, 2, 3]);
        accounts.reclaim_retired(|slot| slot == 2);
        let plan = accounts.assign(wanted);
        let expected = Plan {
            added: added(&[(2, "b")]),
            ..Plan::default()
        };
        assert_eq!(plan, expected, "only what is missing is added");
    }

    #[test]
    fn accounts_get_slots_in_their_order() {
        let plan = Accounts::default().assign(vec![account("a", "x", 2), account("b", "x", 1)]);
        assert_eq!(plan.added, added(&[(0, "a"), (1, "a"), (2, "b")]));
    }

    #[test]
    fn a_removed_account_retires_its_slots_and_the_others_keep_theirs() {
        let mut accounts = Accounts::default();
        accounts.assign(vec![account("a", "x", 2), account("b", "x", 1)]);
        let plan = accounts.assign(vec![account("b", "x", 1)]);
        let expected = Plan {
            retired: vec![0, 1],
            ..Plan::default()
        };
        assert_eq!(plan, expected);
        assert_eq!(
            accounts
                .assigned()
                .map(|(slot, _)| slot)
                .collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn a_retired_slot_is_used_again_only_when_it_is_empty() {
        let mut accounts = Accounts::default();
        accounts.assign(vec![account("a", "x", 2)]);
        accounts.assign(vec![account("a", "x", 1)]);
        accounts.reclaim_retired(|_| false);
        let plan = accounts.assign(vec![account("a", "x", 1), account("b", "x", 1)]);
        assert_eq!(plan.added, added(&[(2, "b")]));
        accounts.reclaim_retired(|_| true);
        let plan = accounts.assign(vec![account("a", "x", 1), account("b", "x", 2)]);
        assert_eq!(plan.added, added(&[(1, "b")]));
    }

    #[test]
    fn a_new_password_is_told_once_for_all_slots() {
        let mut accounts = Accounts::default();
        accounts.assign(vec![account("a", "x", 3)]);
        let plan = accounts.assign(vec![account("a", "y", 3)]);
        assert_eq!(
            plan,
            Plan {
                new_passwords: vec!["a".to_owned()],
                ..Plan::default()
            }
        );
        assert_eq!(accounts.of(2).password.expose(), "y");
    }

    #[test]
    fn slots_that_are_still_busy_count_against_the_room() {
        let mut accounts = Accounts::default();
        accounts.assign(vec![account("a", "x", 4)]);
        accounts.assign(vec![account("a", "x", 1)]);
        assert!(accounts.has_room(&[account("a", "x", 1), account("b", "x", 1)], 5));
        assert!(!accounts.has_room(&[account("a", "x", 1), account("b", "x", 2)], 5));
        accounts.reclaim_retired(|_| true);
        assert!(accounts.has_room(&[account("a", "x", 1), account("b", "x", 4)], 5));
    }
}
