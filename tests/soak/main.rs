//! Soak: a steady load for a long time, with connections that come and go and tokens that are renewed all the
//! while. Nothing may fail, no token may have two users, the counters must balance, and neither memory nor
//! descriptors may grow.
//!
//! `TPP_SOAK_SECS` sets how long, `TPP_SOAK_RATE` how many requests a second (`make soak SECS=1200 RATE=2000`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../common/mod.rs"]
mod common;
mod ledger;
mod load;
mod upstream;
mod verdict;
mod watch;

use std::{env, process::ExitCode, sync::Arc, thread, time::Duration};

use common::{dice::Dice, proxy::Proxy, settings::Settings};
use ledger::Ledger;
use load::Load;
use upstream::Upstream;
use watch::Watch;

/// Clients at once; the tokens are a few more, so that what is measured is no waiting in line.
const CLIENTS: usize = 64;
const TOKENS: usize = 80;
/// Between two lines of the report.
const INTERVAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let time = Duration::from_secs(number("TPP_SOAK_SECS", 5));
    let rate = number("TPP_SOAK_RATE", 200);
    let seed = Dice::seed(1);
    let ledger = Arc::new(Ledger::default());
    let upstream = Upstream::start(Arc::clone(&ledger));
    let settings = Settings::default()
        .workers(2)
        .instead("tpp.toml", &upstream.configuration(TOKENS))
        .slots_besides(TOKENS as u64);
    let proxy = Proxy::start(&settings);
    println!(
        "soak: {} s at {rate} requests/s, {CLIENTS} clients, {TOKENS} tokens",
        time.as_secs()
    );

    let mut watch = Watch::new(&proxy);
    let load = Load::new(proxy.address(), rate, time, &ledger, seed);
    load.run(CLIENTS, || {
        let interval = INTERVAL.min(time / 2);
        // The last look comes before the clients begin to leave.
        while load.elapsed() + interval < time {
            thread::sleep(interval);
            watch.look(&load);
        }
    });
    proxy.wait_until_all_is_back(TOKENS as u64);
    let faults = watch.judge(&load, &ledger);
    let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
    faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    let (passed, failed) = (
        usize::from(faults.is_empty()),
        usize::from(!faults.is_empty()),
    );
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(!faults.is_empty()))
}

fn number(variable: &str, default: u64) -> u64 {
    let text = env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a whole number"))
}
