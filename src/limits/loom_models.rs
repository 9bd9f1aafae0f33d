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
