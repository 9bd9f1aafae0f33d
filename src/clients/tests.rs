use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU64 as Number, Ordering},
    thread,
};

use proptest::prelude::*;

use super::*;

const SEATS: usize = 2;

fn words() -> Vec<AtomicU64> {
    let mut words = Vec::new();
    words.resize_with(HEAD_WORDS + SEATS * SEAT_WORDS, AtomicU64::default);
    words[0].store(0x5eed, Relaxed);
    words
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

fn at_most(total: usize) -> Bounds {
    Bounds {
        total: Some(total),
        ..Bounds::default()
    }
}

fn each_at_most(per_address: usize) -> Bounds {
    Bounds {
        per_address: Some(per_address),
        ..Bounds::default()
    }
}

fn seat(index: usize) -> SeatIndex {
    SeatIndex::new(index)
}

#[test]
fn the_total_is_over_all_seats_and_comes_back() {
    let words = words();
    let clients = Clients::new(&words);
    let first = clients.admit(seat(0), address(1), at_most(2)).unwrap();
    let _second = clients.admit(seat(1), address(2), at_most(2)).unwrap();
    for index in [0, 1] {
        let third = clients.admit(seat(index), address(3), at_most(2));
        assert_eq!(third.unwrap_err(), Full::Total);
    }
    assert_eq!(clients.total(), 2, "who was not let in is not counted");
    clients.leave(seat(0), first);
    let _third = clients.admit(seat(1), address(3), at_most(2)).unwrap();
}

#[test]
fn an_address_is_bounded_over_all_seats_and_others_are_not_touched() {
    let words = words();
    let clients = Clients::new(&words);
    let first = clients.admit(seat(0), address(1), each_at_most(2)).unwrap();
    let _second = clients.admit(seat(1), address(1), each_at_most(2)).unwrap();
    let third = clients.admit(seat(1), address(1), each_at_most(2));
    assert_eq!(third.unwrap_err(), Full::Address);
    let _other = clients.admit(seat(1), address(2), each_at_most(2)).unwrap();
    clients.leave(seat(0), first);
    let _third = clients.admit(seat(1), address(1), each_at_most(2)).unwrap();
}

#[test]
fn a_workers_own_bound_looks_at_no_other() {
    let words = words();
    let clients = Clients::new(&words);
    let here = Bounds {
        here: Some(1),
        ..Bounds::default()
    };
    let _one = clients.admit(seat(0), address(1), here).unwrap();
    let two = clients.admit(seat(0), address(1), here);
    assert_eq!(two.unwrap_err(), Full::Here);
    let _other = clients.admit(seat(1), address(1), here).unwrap();
}

/// Two workers let in as many as they may, one after another and all the while; a number that both write beside it says
/// how many are in at once.
#[test]
fn two_workers_at_once_never_let_in_one_too_many() {
    const MOST: u64 = 3;
    let words = words();
    let clients = Clients::new(&words);
    let (inside, let_in) = (Number::new(0), Number::new(0));
    let bounds = Bounds {
        // Those who knock are counted as well, until they are told.
        total: Some(MOST as usize + SEATS),
        per_address: Some(MOST as usize),
        here: None,
    };
    thread::scope(|scope| {
        for index in 0..SEATS {
            let (clients, inside, let_in) = (&clients, &inside, &let_in);
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..if cfg!(miri) { 50 } else { 10_000 } {
                    match clients.admit(seat(index), address(1), bounds) {
                        Ok(admitted) => {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= MOST, "{now} at once");
                            let_in.fetch_add(1, Ordering::SeqCst);
                            held.push(admitted);
                        }
                        Err(full) => assert_eq!(full, Full::Address),
                    }
                    if round % 3 == 0
                        && let Some(admitted) = held.pop()
                    {
                        inside.fetch_sub(1, Ordering::SeqCst);
                        clients.leave(seat(index), admitted);
                    }
                }
                for admitted in held {
                    inside.fetch_sub(1, Ordering::SeqCst);
                    clients.leave(seat(index), admitted);
                }
            });
        }
    });
    assert!(let_in.into_inner() > 0);
    assert_eq!(clients.total(), 0);
    let left = |word: &&AtomicU64| word.load(Relaxed) != 0;
    assert_eq!(words.iter().skip(1).filter(left).count(), 0);
}

#[test]
fn tens_of_thousands_of_addresses_have_room() {
    let words = words();
    let table = Clients::new(&words).part(seat(0)).1;
    let keys: Vec<_> = (0..50_000).map(|n| Key::of(address(n), 3)).collect();
    assert_eq!(keys.iter().filter(|key| !table.add(**key)).count(), 0);
    assert!(keys.iter().all(|key| table.count(*key) == 1));
}

#[test]
fn a_table_that_is_full_says_so_and_stays_right() {
    let mut words = Vec::new();
    words.resize_with(2 * table::BUCKET, AtomicU64::default);
    let table = Table::new(&words);
    let keys: Vec<_> = (0..100).map(|n| Key::of(address(n), 3)).collect();
    let added: Vec<_> = keys.iter().map(|key| table.add(*key)).collect();
    assert!(added.iter().filter(|added| **added).count() <= 2 * table::BUCKET);
    assert!(added.contains(&false));
    for (key, added) in keys.iter().zip(added) {
        assert_eq!(table.count(*key), u64::from(added));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few addresses and few buckets, so that they meet.
    #[test]
    fn a_table_counts_as_a_map_does(moves in proptest::collection::vec((0_u32..40, any::<bool>()), 0..400)) {
        let mut words = Vec::new();
        words.resize_with(16 * table::BUCKET, AtomicU64::default);
        let table = Table::new(&words);
        let mut map = HashMap::<u32, u64>::new();
        for (number, comes) in moves {
            let key = Key::of(address(number), 11);
            let count = map.entry(number).or_default();
            if comes {
                *count += u64::from(table.add(key));
            } else if *count > 0 {
                *count -= 1;
                table.remove(key);
            }
        }
        for (number, count) in map {
            prop_assert_eq!(table.count(Key::of(address(number), 11)), count);
        }
    }
}
