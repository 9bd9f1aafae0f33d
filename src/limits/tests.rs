mod rows;
mod table;

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::*;

const RULES: BreakerRules = BreakerRules {
    failure_threshold: 3,
    recovery: Duration::from_secs(30),
    half_open: 2,
};

#[test]
fn a_rate_admits_its_burst_and_then_its_pace() {
    let word = AtomicU64::new(0);
    let (rate, second) = (Rate::new(&word), 1_000_000_000);
    let quota = Quota::new(10, Duration::from_secs(1), 3).unwrap();
    let now = 100 * second;
    let left: Vec<_> = (0..3).map(|_| rate.admit(quota, now)).collect();
    assert_eq!(left, [Ok(2), Ok(1), Ok(0)]);
    let after = Duration::from_millis(100);
    assert_eq!(rate.admit(quota, now), Err(Refused { after }));
    assert_eq!(rate.admit(quota, now + second / 10), Ok(0));
    rate.give_back(quota);
    assert_eq!(rate.admit(quota, now + second / 10), Ok(0), "given back");
    assert_eq!(rate.admit(quota, now + 100 * second), Ok(2), "all paid off");
}

#[test]
fn a_refusal_changes_nothing_whatever_stands_there() {
    let word = AtomicU64::new(u64::MAX);
    let quota = Quota::new(1, Duration::from_secs(1), 5).unwrap();
    assert!(Rate::new(&word).admit(quota, 10).is_err());
    assert_eq!(word.load(Relaxed), u64::MAX);
}

#[test]
fn a_quota_that_admits_nothing_is_none() {
    let second = Duration::from_secs(1);
    for (requests, time, burst) in [(0, second, 1), (1, second, 0), (1, Duration::MAX, 1)] {
        assert_eq!(Quota::new(requests, time, burst), None);
    }
}

#[test]
fn threads_together_get_no_more_than_a_rate_allows() {
    let word = AtomicU64::new(0);
    let quota = Quota::new(1000, Duration::from_secs(1), 50).unwrap();
    let steps = if cfg!(miri) { 20_u64 } else { 20_000 };
    // All go through the same 1 ms steps, each at its own speed.
    let admitted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let times = (0..steps).map(|step| 1_000_000_000 + step * 1_000_000);
                    times
                        .filter(|&now| Rate::new(&word).admit(quota, now).is_ok())
                        .count()
                })
            })
            .collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.sum()
    });
    assert!(admitted as u64 <= steps + 50, "{admitted} in {steps} ms");
}

#[test]
fn a_breaker_opens_probes_and_closes() {
    let word = AtomicU64::new(0);
    let breaker = Breaker::new(&word);
    let old = breaker.pass(RULES, 0).unwrap();
    for now in 0..3 {
        let pass = breaker.pass(RULES, now).unwrap();
        assert_eq!(breaker.failed(RULES, pass, now), now == 2);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    let after = Duration::from_secs(20);
    assert_eq!(breaker.pass(RULES, 10_000), Err(Tripped { after }));
    breaker.succeeded(RULES, old, 10_000);
    assert_eq!(breaker.state(), BreakerState::Open, "of another time");
    let probes = [(); 2].map(|()| breaker.pass(RULES, 30_000).unwrap());
    assert!(
        breaker.pass(RULES, 30_000).is_err(),
        "two probes, not three"
    );
    breaker.ignored(probes[0]);
    let third = breaker.pass(RULES, 30_000).unwrap();
    breaker.succeeded(RULES, third, 30_100);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.succeeded(RULES, probes[1], 30_100);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_success_ends_a_row_of_failures_and_a_failed_probe_opens_again() {
    let word = AtomicU64::new(0);
    let breaker = Breaker::new(&word);
    let pass = breaker.pass(RULES, 0).unwrap();
    for _ in 0..5 {
        assert!(!breaker.failed(RULES, pass, 0));
        assert!(!breaker.failed(RULES, pass, 0));
        breaker.succeeded(RULES, pass, 0);
    }
    assert!(breaker.trip(pass, 0));
    let probe = breaker.pass(RULES, 30_000).unwrap();
    assert!(breaker.failed(RULES, probe, 31_000));
    assert!(
        breaker.pass(RULES, 60_900).is_err(),
        "open for as long again"
    );
    breaker.reset(60_900);
    assert!(breaker.pass(RULES, 60_900).is_ok());
}

#[test]
fn a_probe_whose_maker_died_is_given_out_again() {
    let word = AtomicU64::new(0);
    let breaker = Breaker::new(&word);
    let pass = breaker.pass(RULES, 0).unwrap();
    breaker.trip(pass, 0);
    let lost = [(); 2].map(|()| breaker.pass(RULES, 30_000).unwrap());
    assert!(breaker.pass(RULES, 59_900).is_err());
    let probes = [(); 2].map(|()| breaker.pass(RULES, 60_000).unwrap());
    assert!(breaker.pass(RULES, 60_000).is_err());
    assert!(
        !breaker.failed(RULES, lost[0], 60_000),
        "it was alive after all"
    );
    breaker.succeeded(RULES, probes[0], 60_000);
    breaker.succeeded(RULES, probes[1], 60_000);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn who_read_the_clock_before_a_breaker_opened_gets_no_probe_for_it() {
    let word = AtomicU64::new(0);
    let breaker = Breaker::new(&word);
    let pass = breaker.pass(RULES, 0).unwrap();
    assert!(breaker.trip(pass, 60_000));
    for stopped_at in [0, 30_000, 59_900] {
        assert!(breaker.pass(RULES, stopped_at).is_err(), "{stopped_at}");
    }
    let probes = [(); 3].map(|()| breaker.pass(RULES, 90_000).is_ok());
    assert_eq!(probes, [true, true, false]);
    assert!(breaker.pass(RULES, 20_000).is_err(), "all are out");
    assert!(
        breaker.pass(RULES, 110_000).is_err(),
        "their time is not over"
    );
}

#[test]
fn a_window_counts_each_attempt_once_and_forgets_the_old() {
    let buckets: Vec<_> = (0..10).map(|_| AtomicU64::new(0)).collect();
    let window = FailureWindow::new(&buckets, Duration::from_secs(10));
    for second in 0..30 {
        window.count(second % 2 == 0, second * 1000);
    }
    let shares = window.shares(29_000);
    assert_eq!((shares.succeeded, shares.failed), (5, 5));
    assert!(shares.is_bad(50, 10) && !shares.is_bad(51, 10) && !shares.is_bad(50, 11));
    assert_eq!(window.shares(39_000), Shares::default());
    // A full bucket stays full.
    buckets[0].store(window_word(1, 0xff_ffff, 0xff_ffff), Relaxed);
    window.count(true, 0);
    window.count(false, 0);
    assert_eq!(
        buckets[0].load(Relaxed),
        window_word(1, 0xff_ffff, 0xff_ffff)
    );
}

#[test]
fn whoever_comes_late_wipes_nothing_out_of_a_window() {
    let buckets: Vec<_> = (0..4).map(|_| AtomicU64::new(0)).collect();
    let window = FailureWindow::new(&buckets, Duration::from_secs(4));
    for now in [8_000, 65_534_000] {
        window.count(true, now);
        // It read the clock one round before.
        window.count(false, now - 4_000);
        let one = Shares {
            succeeded: 0,
            failed: 1,
        };
        assert_eq!(window.shares(now), one);
        // The next round, with a stamp that comes again or not, counts anew.
        window.count(false, now + 4_000);
        assert_eq!(window.shares(now + 4_000).succeeded, 1);
    }
}

fn window_word(stamp: u64, succeeded: u64, failed: u64) -> u64 {
    stamp << 48 | succeeded << 24 | failed
}

/// The same as a list of what was admitted: a bucket of `burst` that fills by one each `cost`.
struct Reference {
    level: u64,
    since: u64,
}

impl Reference {
    fn admit(&mut self, cost: u64, burst: u64, now: u64) -> bool {
        self.level = self.level.saturating_sub(now - self.since);
        self.since = now;
        let fits = self.level + cost <= burst * cost;
        if fits {
            self.level += cost;
        }
        fits
    }
}

proptest! {
    #[test]
    fn a_rate_admits_what_a_leaking_bucket_admits(
        requests in 1..50_u64, burst in 1..20_u64, steps in prop::collection::vec(0..200_000_000_u64, 1..300),
    ) {
        let word = AtomicU64::new(0);
        let quota = Quota::new(requests, Duration::from_secs(1), burst).unwrap();
        let cost = 1_000_000_000_u64.div_ceil(requests);
        let mut now = 5_000_000_000;
        let mut reference = Reference { level: 0, since: now };
        for step in steps {
            now += step;
            let admitted = Rate::new(&word).admit(quota, now).is_ok();
            prop_assert_eq!(admitted, reference.admit(cost, burst, now));
        }
    }

    #[test]
    fn any_word_of_a_breaker_lets_somebody_through_in_time(bits: u64, now in 0..1_u64 << 40) {
        let word = AtomicU64::new(bits);
        let breaker = Breaker::new(&word);
        let first = breaker.pass(RULES, now);
        // A time that lies ahead is taken for that of somebody who came late, for a day at most.
        let a_day = 24 * 3600 * 1000 + 100;
        prop_assert!(first.is_ok() || breaker.pass(RULES, now + 30_000).is_ok() || breaker.pass(RULES, now + a_day + 30_000).is_ok());
    }
}
