use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::super::*;

fn rows(count: usize) -> Vec<HostRow> {
    (0..count).map(|_| HostRow::default()).collect()
}

#[test]
fn a_name_keeps_its_row_and_what_stands_in_it() {
    let rows = rows(4);
    let table = Table::new(&rows, rows.len());
    let quiet = |_, _| true;
    let first = table.assign(&[7, 8, 9], 1, quiet, |_| {}).unwrap();
    rows[first[1]].breaker.store(77, Relaxed);
    let second = table.assign(&[8, 10], 2, quiet, |_| {}).unwrap();
    assert_eq!(second[0], first[1]);
    assert_eq!(rows[second[0]].breaker.load(Relaxed), 77);
    assert_eq!(
        table.assign(&[8, 8], 3, quiet, |_| {}),
        Ok(vec![second[0]; 2])
    );
}

#[test]
fn a_row_is_anothers_only_when_nobody_uses_it_and_then_it_is_clean() {
    let rows = rows(1);
    let table = Table::new(&rows, rows.len());
    let (full, cleared) = (Err(TableFull { most: 1 }), RefCell::new(Vec::new()));
    let clear = |row| cleared.borrow_mut().push(row);
    assert_eq!(table.assign(&[7], 1, |_, _| true, clear), Ok(vec![0]));
    rows[0].breaker.store(77, Relaxed);
    assert_eq!(
        table.assign(&[8], 2, |_, _| true, clear),
        full,
        "7 is in use"
    );
    assert_eq!(table.assign(&[], 2, |_, _| true, clear), Ok(vec![]));
    assert_eq!(table.assign(&[8], 3, |_, gone| gone != 2, clear), full);
    assert_eq!(table.taken().collect::<Vec<_>>(), [(0, 7)]);
    assert_eq!(
        table.assign(&[7], 3, |_, _| false, clear),
        Ok(vec![0]),
        "its own again"
    );
    assert_eq!(rows[0].breaker.load(Relaxed), 77);
    assert_eq!(table.assign(&[], 4, |_, _| true, clear), Ok(vec![]));
    assert_eq!(
        table.assign(&[8], 5, |_, gone| gone == 4, clear),
        Ok(vec![0])
    );
    assert_eq!(rows[0].breaker.load(Relaxed), 0);
    assert_eq!(*cleared.borrow(), [0, 0]);
}

#[test]
fn an_order_gives_each_number_once() {
    let row = GroupRow::default();
    assert_eq!([(); 3].map(|()| row.next()), [0, 1, 2]);
}

#[test]
fn probes_of_one_who_died_are_given_out_again_and_nobody_elses() {
    let rules = BreakerRules {
        failure_threshold: 1,
        recovery: Duration::from_secs(30),
        half_open: 2,
    };
    let word = AtomicU64::new(0);
    let breaker = Breaker::new(&word);
    let pass = breaker.pass(rules, 0).unwrap();
    assert!(breaker.failed(rules, pass, 0));
    let notes = [(); 2].map(|()| AtomicU64::new(0));
    for note in &notes {
        Probes::new(note).note(breaker.pass(rules, 30_000).unwrap());
    }
    assert!(breaker.pass(rules, 30_000).is_err());
    Probes::new(&notes[0]).give_back(breaker);
    Probes::new(&notes[0]).give_back(breaker);
    let again = breaker.pass(rules, 30_000).unwrap();
    assert!(breaker.pass(rules, 30_000).is_err());
    // One that was told of is none of its worker's any more.
    Probes::new(&notes[0]).note(again);
    Probes::new(&notes[0]).strike(again);
    breaker.ignored(again);
    let last = breaker.pass(rules, 30_000).unwrap();
    Probes::new(&notes[0]).give_back(breaker);
    assert!(breaker.pass(rules, 30_000).is_err());
    // What is noted of another time gives nothing back.
    breaker.succeeded(rules, last, 30_000);
    breaker.reset(30_000);
    Probes::new(&notes[1]).give_back(breaker);
    assert!(breaker.pass(rules, 30_000).is_ok());
}

#[test]
fn where_there_is_no_room_for_all_the_first_ones_have_it() {
    let rows = rows(2);
    let table = Table::new(&rows, rows.len());
    let quiet = |_, _| true;
    let some = |keys: &[u64], generation| table.assign_some(keys, generation, quiet, |_| {});
    assert_eq!(some(&[7, 8, 9], 1), [Some(0), Some(1), None]);
    // Whoever has one keeps it, wherever it is named.
    assert_eq!(some(&[9, 8], 2), [None, Some(1)]);
    assert_eq!(some(&[9, 8], 3), [Some(0), Some(1)]);
}

#[test]
fn rows_that_were_never_anybodys_are_given_without_a_look() {
    let rows = rows(4);
    let first = Table::new(&rows, 0).assign(&[7], 1, |_, _| true, |_| {});
    assert_eq!(first, Ok(vec![0]));
    let table = Table::new(&rows, 1);
    assert_eq!(
        table.assign(&[8, 7], 2, |_, _| true, |_| {}),
        Ok(vec![1, 0])
    );
    assert_eq!(table.taken().collect::<Vec<_>>(), [(0, 7)]);
    let all = Table::new(&rows, 9);
    assert_eq!(all.taken().count(), 2);
    assert_eq!(
        all.assign(&[1, 2, 3], 3, |_, _| false, |_| {}),
        Err(TableFull { most: 4 })
    );
}
