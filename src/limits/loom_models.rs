//! Models of two who meet at one word.

use std::time::Duration;

use loom::{sync::Arc, thread};

use crate::sync::AtomicU64;

use super::*;

const RULES: BreakerRules = BreakerRules {
    failure_threshold: 2,
    recovery: Duration::from_secs(1),
    half_open: 1,
};

/// Runs `act` twice at once on a word that is `word` at first, and says how often it was true.
fn twice(word: u64, act: fn(&AtomicU64) -> bool) -> (usize, Arc<AtomicU64>) {
    let word = Arc::new(AtomicU64::new(word));
    let other = Arc::clone(&word);
    let thread = thread::spawn(move || act(&other));
    let ours = act(&word);
    let theirs = thread.join().unwrap();
    (usize::from(ours) + usize::from(theirs), word)
}

fn tripped() -> u64 {
    let word = AtomicU64::new(0);
    let pass = Breaker::new(&word).pass(RULES, 0).unwrap();
    assert!(Breaker::new(&word).trip(pass, 0));
    word.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn loom_two_requests_at_a_rate_of_one_are_not_both_admitted() {
    loom::model(|| {
        let (admitted, _) = twice(0, |word| {
            let quota = Quota::new(1, Duration::from_secs(1), 1).unwrap();
            Rate::new(word).admit(quota, 5_000_000_000).is_ok()
        });
        assert_eq!(admitted, 1);
    });
}

#[test]
fn loom_two_who_find_a_breaker_due_send_one_probe() {
    loom::model(|| {
        let (passed, _) = twice(tripped(), |word| {
            Breaker::new(word).pass(RULES, 2000).is_ok()
        });
        assert_eq!(passed, 1);
    });
}

#[test]
fn loom_two_failures_at_once_are_two() {
    loom::model(|| {
        let (opened, word) = twice(0, |word| {
            let breaker = Breaker::new(word);
            let Ok(pass) = breaker.pass(RULES, 0) else {
                return false;
            };
            breaker.failed(RULES, pass, 0)
        });
        assert_eq!(
            (opened, Breaker::new(&word).state()),
            (1, BreakerState::Open)
        );
    });
}

#[test]
fn loom_a_late_result_does_not_count_for_the_next_time() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let late = Breaker::new(&word).pass(RULES, 0).unwrap();
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || Breaker::new(&other).succeeded(RULES, late, 2000));
        assert!(Breaker::new(&word).trip(late, 1000));
        let probe = Breaker::new(&word).pass(RULES, 2000);
        thread.join().unwrap();
        assert!(probe.is_ok());
        assert_eq!(Breaker::new(&word).state(), BreakerState::HalfOpen);
    });
}

#[test]
fn loom_two_failures_at_once_are_each_told_its_number() {
    loom::model(|| {
        let conduct = Arc::new(Conduct::default());
        let other = Arc::clone(&conduct);
        let thread = thread::spawn(move || other.failed());
        let mut numbers = [conduct.failed(), thread.join().unwrap()];
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
    });
}

#[test]
fn loom_a_success_that_meets_a_failure_leaves_none_of_those_before() {
    loom::model(|| {
        let conduct = Arc::new(Conduct::default());
        conduct.failed();
        conduct.failed();
        let other = Arc::clone(&conduct);
        let thread = thread::spawn(move || other.succeeded());
        conduct.failed();
        thread.join().unwrap();
        assert!(conduct.failures() <= 1);
    });
}

#[test]
fn loom_two_who_count_in_a_new_bucket_are_both_counted() {
    loom::model(|| {
        let buckets: Arc<Vec<AtomicU64>> = Arc::new(vec![AtomicU64::new(7 << 48 | 5)]);
        let other = Arc::clone(&buckets);
        let second = Duration::from_secs(1);
        let thread = thread::spawn(move || FailureWindow::new(&other, second).count(true, 900_000));
        FailureWindow::new(&buckets, second).count(false, 900_000);
        thread.join().unwrap();
        let shares = FailureWindow::new(&buckets, second).shares(900_000);
        assert_eq!((shares.succeeded, shares.failed), (1, 1));
    });
}

/// A table of one set, whose entries are `words`.
fn table(words: [u64; SET]) -> Arc<Vec<AtomicU64>> {
    let head = std::iter::repeat_n(0, SET);
    Arc::new(head.chain(words).map(AtomicU64::new).collect())
}

fn admit(words: &[AtomicU64], now: u64) -> bool {
    let quota = Quota::new(1, Duration::from_secs(1), 1).unwrap();
    let quota = TableQuota::new(quota);
    let table = RateTable::new(words).unwrap();
    table.admit(quota, (1, b"key"), now).is_ok()
}

/// An entry of another key that owes until `time`, nanoseconds.
fn of_another(time: u64) -> u64 {
    9 << 42 | time / 10_000
}

#[test]
fn loom_two_newcomers_of_one_key_are_not_both_admitted() {
    loom::model(|| {
        // The first finds the first entry taken, the second finds its time over: each would enter at a place of its own.
        let words = table([of_another(5_000_000_000), 0, 0, 0, 0, 0, 0, 0]);
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || admit(&other, 4_999_000_000));
        let ours = admit(&words, 5_000_000_000);
        let theirs = thread.join().unwrap();
        // Two that meet may both be refused: each has taken its entry back, and has not seen the other do so.
        assert!(!(ours && theirs));
    });
}

#[test]
fn loom_two_of_one_key_that_is_there_are_not_both_admitted() {
    loom::model(|| {
        let words = table([0; SET]);
        assert!(admit(&words, 5_000_000_000));
        let other = Arc::clone(&words);
        let thread = thread::spawn(move || admit(&other, 6_500_000_000));
        let ours = admit(&words, 6_500_000_000);
        assert!(ours != thread.join().unwrap());
    });
}

#[test]
fn loom_a_key_that_has_two_entries_owes_what_both_say() {
    loom::model(|| {
        let words = table([0; SET]);
        let quota = Quota::new(1, Duration::from_secs(1), 2).unwrap();
        let quota = TableQuota::new(quota);
        let admit = |now| {
            let table = RateTable::new(&words).unwrap();
            table.admit(quota, (1, b"key"), now).is_ok()
        };
        assert!(admit(5_000_000_000));
        let entry = words[SET].load(std::sync::atomic::Ordering::Relaxed);
        words[SET + 1].store(entry, std::sync::atomic::Ordering::Relaxed);
        assert!(!admit(5_000_000_000));
        assert!(admit(5_500_000_000));
    });
}

#[test]
fn loom_a_dead_probers_probe_is_given_out_once() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(tripped()));
        let note = AtomicU64::new(0);
        let lost = Breaker::new(&word).pass(RULES, 2000).unwrap();
        Probes::new(&note).note(lost);
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || {
            let breaker = Breaker::new(&other);
            let passed = [(); 2].map(|()| breaker.pass(RULES, 2000).is_ok());
            passed.into_iter().filter(|passed| *passed).count()
        });
        Probes::new(&note).give_back(Breaker::new(&word));
        Probes::new(&note).give_back(Breaker::new(&word));
        let theirs = thread.join().unwrap();
        let next = usize::from(Breaker::new(&word).pass(RULES, 2000).is_ok());
        assert_eq!(theirs + next, 1);
    });
}
