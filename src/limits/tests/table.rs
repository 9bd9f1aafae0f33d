use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::super::*;

const SECOND: u64 = 1_000_000_000;

fn words(sets: usize) -> Vec<AtomicU64> {
    let words: Vec<_> = (0..(sets + 1) * SET).map(|_| AtomicU64::new(0)).collect();
    RateTable::new(&words).expect("a set").set_secret([3, 5]);
    words
}

fn quota(requests: u64, seconds: u64, burst: u64) -> TableQuota {
    let quota = Quota::new(requests, Duration::from_secs(seconds), burst).expect("a quota");
    TableQuota::new(quota)
}

#[test]
fn each_key_and_each_limit_has_a_rate_of_its_own() {
    let words = words(4);
    let table = RateTable::new(&words).unwrap();
    let (quota, now) = (quota(1, 1, 1), 100 * SECOND);
    let keys: [(u64, &[u8]); 4] = [(1, b"a"), (1, b"b"), (2, b"a"), (2, b"ab")];
    for key in keys {
        assert_eq!(table.admit(quota, key, now), Ok(0), "{key:?}");
    }
    for key in keys {
        let refused = table.admit(quota, key, now + SECOND / 4).unwrap_err();
        assert_eq!(refused.after, Duration::from_millis(750));
        assert!(table.admit(quota, key, now + SECOND).is_ok());
    }
    assert_eq!(table.evictions(), 0);
}

#[test]
fn an_entry_whose_time_has_passed_makes_room_and_none_else_without_being_counted() {
    let words = words(1);
    let table = RateTable::new(&words).unwrap();
    let quota = quota(10, 10, 1);
    let keys: Vec<_> = (0..SET as u8 + 1).map(|key| [key]).collect();
    let admit = |key: &[u8], now| table.admit(quota, (1, key), now).is_ok();
    for key in &keys[..SET] {
        assert!(admit(key, 100 * SECOND));
    }
    assert!(admit(&keys[SET], 101 * SECOND), "all have passed");
    assert_eq!(table.evictions(), 0);
    for key in &keys[..SET] {
        assert!(admit(key, 101 * SECOND + SECOND / 2));
    }
    assert_eq!(table.evictions(), 1, "the one that owed least made room");
    assert!(!admit(&keys[1], 102 * SECOND), "another did not");
}

#[test]
fn a_time_of_another_round_is_none() {
    let words = words(1);
    let table = RateTable::new(&words).unwrap();
    let quota = quota(1, 3600, 1);
    let round = (1_u64 << 42) * 10_000;
    assert!(table.admit(quota, (1, b"key"), round - SECOND).is_ok());
    assert!(table.admit(quota, (1, b"key"), round + SECOND).is_err());
    // It has not been looked at for almost a round.
    let late = 2 * round - 8 * 24 * 3600 * SECOND;
    assert!(table.admit(quota, (1, b"key"), late).is_ok());
}

#[test]
fn no_more_runs_up_than_a_week_pays_off() {
    let week = Duration::from_secs(7 * 24 * 3600);
    let words = words(1);
    let table = RateTable::new(&words).unwrap();
    let quota = TableQuota::new(Quota::new(1, week / 2, 5).unwrap());
    assert_eq!(quota.full_after(0), week);
    assert_eq!(quota.full_after(1), week / 2);
    let now = 100 * SECOND;
    assert_eq!(
        [(); 2].map(|()| table.admit(quota, (1, b"key"), now)),
        [Ok(1), Ok(0)]
    );
    assert!(table.admit(quota, (1, b"key"), now).is_err());
    assert!(RateTable::new(&[]).is_none());
}

#[test]
fn threads_together_get_no_more_of_one_key_than_a_rate_allows() {
    let words = words(1);
    let (quota, steps) = (quota(1000, 1, 50), if cfg!(miri) { 20_u64 } else { 20_000 });
    // All go through the same 1 ms steps, each at its own speed, among other keys that come and go.
    let run = |mine: u8| {
        let table = RateTable::new(&words).unwrap();
        let admitted = (0..steps).filter(|step| {
            let now = SECOND + step * 1_000_000;
            let _ = table.admit(quota, (2, &[mine, (step % 7) as u8]), now);
            table.admit(quota, (1, b"key"), now).is_ok()
        });
        admitted.count()
    };
    let admitted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|mine| scope.spawn(move || run(mine))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let evicted = RateTable::new(&words).unwrap().evictions();
    // An eviction forgets at most what the burst allows.
    let most = steps + 50 + 50 * evicted;
    assert!(
        admitted as u64 <= most,
        "{admitted} in {steps} ms, {evicted} evicted"
    );
}

proptest! {
    #[test]
    fn a_table_admits_what_a_rate_admits(
        requests in prop::sample::select(vec![1_u64, 2, 5, 10, 100]), burst in 1..20_u64,
        steps in prop::collection::vec((0..3_u8, 0..20_000_u64), 1..300),
    ) {
        // In a table's steps, and costs that are whole ones: there the two are the same to the last request.
        let words = words(4);
        let table = RateTable::new(&words).unwrap();
        let one_key = Quota::new(requests, Duration::from_secs(1), burst).unwrap();
        let quota = TableQuota::new(one_key);
        let rates = [(); 3].map(|()| AtomicU64::new(0));
        let mut now = 5 * SECOND;
        for (key, step) in steps {
            now += step * 10_000;
            let expected = Rate::new(&rates[usize::from(key)]).admit(one_key, now);
            prop_assert_eq!(table.admit(quota, (1, &[key]), now), expected);
        }
    }

    #[test]
    fn whatever_stands_in_a_table_nobody_is_refused_for_ever(
        junk in prop::collection::vec(any::<u64>(), SET), now in 0..1_u64 << 60,
    ) {
        let words = words(1);
        for (word, junk) in words[SET..].iter().zip(junk) {
            word.store(junk, Relaxed);
        }
        let table = RateTable::new(&words).unwrap();
        let quota = quota(1, 1, 1);
        let week = 7 * 24 * 3600 * SECOND;
        let times = [now, now + week, now + 2 * week];
        prop_assert!(times.into_iter().any(|now| table.admit(quota, (1, b"key"), now).is_ok()));
    }
}
