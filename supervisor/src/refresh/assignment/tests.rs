use std::time::Duration;

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
        expires_in: None,
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
    assert!(book.has_room(&more(1), 5));
    assert!(!book.has_room(&more(2), 5));
    book.reclaim_retired(|_| true);
    assert!(book.has_room(&more(4), 5));
}
