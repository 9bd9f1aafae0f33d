//! Torture: processes lease, hold, release, join and leave at random on one region, while the parent kills and stops
//! them at random, reclaims, passes by, sweeps, and puts slots out of use and back.
//!
//! A holder locks its slot's file. The system drops the lock with the process, so a second holder is one
//! who finds it locked; the same with a permit, and a breaker's probe. From time to time all are asked to be calm: with nobody killed any more and nothing but
//! bells to wake them, every waiter must be served and every slot come back.
//!
//! `TPP_TORTURE_SECS` sets how long (`make torture SECS=60`), `TPP_TEST_SEED` the choices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../common/dice.rs"]
mod dice;
mod tormentor;
mod victim;
#[path = "../common/worker_process.rs"]
mod worker_process;

use std::{env, process::ExitCode, time::Duration};

use dice::Dice;
use tormentor::Tormentor;
use tpp::{
    lending::BreakerAt,
    limits::{BreakerPolicy, BreakerRules},
    region::RowGeometry,
};
use worker_process::Part;

/// Few, so that there is a line most of the time.
const SLOTS: usize = 4;
/// Of a second pool, which holds no tokens: a limit on how many at once. Their locks come after the slots'.
const PERMITS: usize = 2;
const WORKERS: usize = 6;
/// What is limited of one name: few rows, so that they have room.
const ROWS: RowGeometry = RowGeometry {
    hosts: 2,
    backends: 2,
    pairs: 2,
    groups: 2,
    rate_sets: 1,
};
/// The row that is given first.
const ROW: usize = 0;
/// What all take from together, and write down, a byte for each that they get.
const RATE: (u64, Duration, u64) = (200, Duration::from_secs(1), 10);
const ADMITTED: &str = "admitted";
/// A breaker that opens at each failure, and its time of rest. Its clock stands still while all are wild, so that only what is given
/// back can be given out again; the probes' locks come after the permits'.
const BREAKER: BreakerAt = BreakerAt::Host(ROW);
const PROBES: usize = 2;
const POLICY: BreakerPolicy = BreakerPolicy {
    rules: BreakerRules {
        failure_threshold: 1,
        recovery: Duration::from_secs(1),
        half_open: PROBES as u8,
    },
    shares: None,
};
/// Milliseconds of that clock between two generations.
const AGE: u64 = 10_000;
/// Tells the children where the slots' lock files are.
const LOCKS: &str = "TPP_TORTURE_LOCKS";
/// Seconds by default.
const SHORT: u64 = 5;

fn main() -> ExitCode {
    if let Some(part) = Part::assigned() {
        return victim::live(part);
    }
    let seconds = env::var("TPP_TORTURE_SECS").ok();
    let seconds = seconds.map_or(SHORT, |text| text.parse().expect("whole seconds"));
    let seed = Dice::seed(1);
    let report = Tormentor::new(seed).run(Duration::from_secs(seconds));
    println!("{report}");
    let sound = report.is_sound();
    let (verdict, passed, failed) = if sound {
        ("ok", 1, 0)
    } else {
        ("FAILED", 0, 1)
    };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(!sound))
}
