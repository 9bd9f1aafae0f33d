//! Whose each slot is, and what a change of accounts does to the slots. Pure bookkeeping, in one walk over slots and accounts.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tpp::{
    config::Credential,
    hash::{HASH_BEGIN, hash_on},
    lending::Legacy,
    shared::Rest,
};

use super::book::Book;

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
/// with a token first. Accounts that want more are not served yet: that is [`assign`]'s.
pub(super) fn adopted(
    accounts: &[Credential],
    legacies: &[Legacy],
) -> Vec<Option<Arc<Credential>>> {
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
            let heir = legacy.account.and_then(|key| left.get_mut(&key));
            if let Some((sessions, account)) = heir.filter(|(sessions, _)| *sessions > 0) {
                *sessions -= 1;
                *owner = Some(Arc::clone(account));
            }
        }
    }
    owners
}

/// Whether `accounts` fit into `room` slots, those still busy with old leases included.
pub(super) fn has_room(book: &Book, accounts: &[Credential], room: usize) -> bool {
    let mut held: HashMap<&str, usize> = HashMap::new();
    for (_, owner) in book.assigned() {
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
    book.slots.len() + added.saturating_sub(book.free.len()) <= room
}

/// Gives `accounts` their slots: those they have, then free ones, then new ones.
pub(super) fn assign(book: &mut Book, accounts: Vec<Credential>) -> Assignment {
    let mut plan = Assignment::default();
    let mut left: Vec<_> = accounts
        .into_iter()
        .map(|account| (account.sessions, Arc::new(account)))
        .collect();
    let by_user: HashMap<_, _> = left
        .iter()
        .enumerate()
        .map(|(index, (_, account))| (account.username.clone(), index))
        .collect();
    for slot in 0..book.slots.len() {
        let Some(old) = book.slots[slot].owner.take() else {
            continue;
        };
        let new = by_user.get(&old.username).map(|index| &mut left[*index]);
        match new {
            Some((sessions, account)) if *sessions > 0 => {
                *sessions -= 1;
                if account.password != old.password {
                    plan.new_passwords.insert(old.username.clone());
                }
                book.slots[slot].owner = Some(Arc::clone(account));
            }
            _ => {
                book.retired.push(slot);
                plan.retired.push(slot);
            }
        }
    }
    for (sessions, account) in left {
        for _ in 0..sessions {
            let slot = take_free(book);
            plan.added.push((slot, Arc::clone(&account)));
        }
    }
    plan
}

fn take_free(book: &mut Book) -> usize {
    book.free.pop().unwrap_or_else(|| {
        book.slots.push(Default::default());
        book.slots.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tpp::pool::Origin;

    use super::*;
    use crate::schedule::Rules;

    fn account(user: &str, password: &str, sessions: usize) -> Credential {
        Credential::new(user, password, sessions)
    }

    fn book() -> Book {
        Book::new(Rules {
            ttl: Duration::from_secs(3600),
            refresh_check: Duration::from_secs(60),
            login_concurrency: 16,
        })
    }

    /// Assigns, and returns what was added.
    fn added(book: &mut Book, accounts: Vec<Credential>) -> Vec<(usize, String)> {
        let plan = book.assign(accounts, Instant::now());
        let added = plan.added.iter();
        added
            .map(|(slot, owner)| (*slot, owner.username.clone()))
            .collect()
    }

    fn named(slots: &[(usize, &str)]) -> Vec<(usize, String)> {
        slots
            .iter()
            .map(|(slot, user)| (*slot, (*user).to_owned()))
            .collect()
    }

    fn owners(book: &Book) -> Vec<(usize, String)> {
        let assigned = book.assigned();
        assigned
            .map(|(slot, owner)| (slot, owner.username.clone()))
            .collect()
    }

    fn legacy(user: &str, is_usable: bool) -> Legacy {
        Legacy {
            account: (!user.is_empty()).then(|| key(user)),
            version: 1,
            is_usable,
            age: Duration::ZERO,
            origin: Origin::NONE,
            rest: None,
        }
    }

    fn adopted_book(accounts: &[Credential], legacies: &[Legacy]) -> Book {
        let mut book = book();
        book.adopt(accounts, legacies, Instant::now(), |slot| slot.to_string());
        book
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
        let mut book = adopted_book(&wanted, &legacies);
        assert_eq!(
            owners(&book),
            named(&[(0, "b"), (4, "a"), (5, "b")]),
            "tokens in hand first"
        );
        assert_eq!((book.retired.as_slice(), book.lent()), (&[1, 2, 3][..], 3));
        book.reclaim_retired(|slot| slot == 2);
        assert_eq!(
            added(&mut book, wanted),
            named(&[(2, "b")]),
            "only what is missing is added"
        );
        assert_eq!(book.configured(), 4);
    }

    #[test]
    fn a_rest_is_that_of_the_password_that_was_refused() {
        let refused = account("a", "wrong", 1);
        let rest = Rest {
            until: 77,
            tag: tag(&refused),
        };
        let legacy = Legacy {
            rest: Some(rest),
            ..legacy("a", false)
        };
        assert_eq!(rest_of(&refused, &legacy), Some(rest));
        assert_eq!(rest_of(&account("a", "right", 1), &legacy), None);
    }

    #[test]
    fn accounts_get_slots_in_their_order() {
        let added = added(
            &mut book(),
            vec![account("a", "x", 2), account("b", "x", 1)],
        );
        assert_eq!(added, named(&[(0, "a"), (1, "a"), (2, "b")]));
    }

    #[test]
    fn a_removed_account_retires_its_slots_and_the_others_keep_theirs() {
        let mut book = book();
        added(&mut book, vec![account("a", "x", 2), account("b", "x", 1)]);
        let plan = book.assign(vec![account("b", "x", 1)], Instant::now());
        assert_eq!((plan.retired, plan.added.len()), (vec![0, 1], 0));
        assert_eq!(owners(&book), named(&[(2, "b")]));
        assert_eq!(book.configured(), 1);
    }

    #[test]
    fn a_retired_slot_is_used_again_only_when_it_is_empty() {
        let mut book = book();
        added(&mut book, vec![account("a", "x", 2)]);
        added(&mut book, vec![account("a", "x", 1)]);
        book.reclaim_retired(|_| false);
        let wanted = vec![account("a", "x", 1), account("b", "x", 1)];
        assert_eq!(added(&mut book, wanted), named(&[(2, "b")]));
        book.reclaim_retired(|_| true);
        let wanted = vec![account("a", "x", 1), account("b", "x", 2)];
        assert_eq!(added(&mut book, wanted), named(&[(1, "b")]));
    }

    #[test]
    fn a_new_password_is_told_once_for_all_slots() {
        let mut book = book();
        added(&mut book, vec![account("a", "x", 3)]);
        let plan = book.assign(vec![account("a", "y", 3)], Instant::now());
        assert_eq!(plan.new_passwords, HashSet::from(["a".to_owned()]));
        assert_eq!((plan.retired.len(), plan.added.len()), (0, 0));
        let owner = book.owner(2).map(|owner| owner.password.expose());
        assert_eq!(owner, Some("y"));
    }

    #[test]
    fn slots_that_are_still_busy_count_against_the_room() {
        let mut book = book();
        added(&mut book, vec![account("a", "x", 4)]);
        added(&mut book, vec![account("a", "x", 1)]);
        let more = |sessions| [account("a", "x", 1), account("b", "x", sessions)];
        assert!(has_room(&book, &more(1), 5));
        assert!(!has_room(&book, &more(2), 5));
        book.reclaim_retired(|_| true);
        assert!(has_room(&book, &more(4), 5));
    }
}
