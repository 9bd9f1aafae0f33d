//! Soak: a steady load for a long time, with connections that come and go, tokens that are renewed all the while,
//! clients that hold on to what they have ([`hinder`]), and reloads to another upstream and back, one of which speaks TLS.
//! Nothing may fail, no token may have two users, be at work twice at once or be seen by another server than its own, the
//! counters must balance, and neither memory nor descriptors may grow.
//!
//! `TPP_SOAK_SECS` sets how long, `TPP_SOAK_RATE` how many requests a second (`make soak SECS=1200 RATE=2000`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/tls.rs"]
mod door;
mod hinder;
mod ledger;
mod load;
mod upstream;
mod verdict;
mod watch;

use std::{env, process::ExitCode, sync::Arc, thread, time::Duration};

use common::{dice::Dice, proxy::Proxy, settings::Settings};
use hinder::Hinderers;
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
    let upstreams = [
        Upstream::start(0, true, Arc::clone(&ledger)),
        Upstream::start(1, false, Arc::clone(&ledger)),
    ];
    let settings = upstreams.each_ref().map(settings);
    let proxy = Proxy::start(&settings[0]);
    println!(
        "soak: {} s at {rate} requests/s, {CLIENTS} clients, {TOKENS} tokens",
        time.as_secs()
    );

    let mut watch = Watch::new(&proxy);
    let load = Load::new(proxy.address(), rate, time, &ledger, seed);
    let hinderers = Hinderers::new(proxy.address(), time, &ledger);
    load.run(CLIENTS, || {
        thread::scope(|scope| {
            scope.spawn(|| hinderers.run(seed));
            let interval = INTERVAL.min(time / 4);
            // The last look comes before the clients begin to leave.
            for place in [1, 0].into_iter().cycle() {
                if load.elapsed() + interval >= time {
                    break;
                }
                thread::sleep(interval);
                watch.look(&load);
                settings[place].write_to(proxy.directory());
                // A move ends before the next begins: else who lost a token in one seems to keep it in the other.
                ledger.note_move();
                let outcome = proxy.ctl(&["reload"]);
                if outcome.code != Some(0) {
                    ledger.fault(format!("a reload failed: {outcome:?}"));
                }
                ledger.note_move();
            }
        });
    });
    proxy.wait_until_all_is_back(TOKENS as u64);
    let faults = watch.judge(&load, &hinderers, &ledger);
    let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
    faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    let (passed, failed) = (
        usize::from(faults.is_empty()),
        usize::from(!faults.is_empty()),
    );
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(!faults.is_empty()))
}

/// A tpp in front of `upstream`.
fn settings(upstream: &Upstream) -> Settings {
    let settings = Settings::default()
        .workers(2)
        .instead("tpp.toml", &upstream.configuration(TOKENS))
        .slots_besides(TOKENS as u64);
    match upstream.authority() {
        Some(authority) => settings.file("authority.pem", authority),
        None => settings,
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a whole number"))
}
