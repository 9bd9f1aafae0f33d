//! Chaos: real processes, clients of all kinds, and whatever may go wrong going wrong at random, all the time.
//!
//! Workers are killed, stopped and made to hang; supervisors killed, stopped and followed by others; configurations
//! reloaded, good and bad; workers and the executable replaced; tokens expire, logins fail, the upstream is cut off or
//! away; tpp is moved to another upstream and back. Of the two upstreams one or both speak TLS, by the seed. Clients come plainly, or
//! over TLS with HTTP/2 and several requests at once ([`streams`]). They read no more, drip, end their side, and leave while the upstream works for them ([`endings`]). The upstreams' judge watches
//! that each slot has one holder and each connection one slot, that a token is seen by the very upstream that issued it,
//! and that none is at work for two; clients complain of what they did not get, and [`judge`] says what the faults explain; [`line`] watches who is served before whom. From
//! time to time all is healed and all clients pause: then every count must be exact, every slot must be there to
//! lease, and the line served in order ([`quiet`]).
//!
//! `TPP_CHAOS_SECS` sets how long (`make chaos SECS=600`), `TPP_TEST_SEED` all decisions (`SEED=…`): of the schedule,
//! and of each client. What time makes of them differs from run to run. `TPP_CHAOS_WITHOUT` names faults, with commas,
//! that are left out while all others stay as they are: it narrows a failure down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[allow(dead_code, reason = "its clients without HTTP/2 are for others")]
#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
#[path = "../common/tls.rs"]
mod door;
mod endings;
mod faults;
mod judge;
mod kinds;
mod line;
mod quiet;
mod scene;
mod schedule;
mod servers;
#[path = "../common/http2.rs"]
mod speaks;
mod stalled;
mod streams;
mod visit;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Duration,
};

use common::{dice::Dice, journal::Journal, load::while_clients_work, seconds_from};
use crowd::{CLIENTS, Crowd};
use kinds::KINDS;
use scene::Scene;
use schedule::Schedule;

/// Seconds by default.
const SHORT: u64 = 10;

fn main() -> ExitCode {
    let seed = Dice::seed(1);
    let time = seconds_from("TPP_CHAOS_SECS", SHORT);
    let sound = catch_unwind(AssertUnwindSafe(|| run(seed, time))).is_ok();
    if !sound {
        println!("chaos: FAILED with seed {seed}");
    }
    let (verdict, passed, failed) = if sound {
        ("ok", 1, 0)
    } else {
        ("FAILED", 0, 1)
    };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(!sound))
}

/// # Panics
/// At the first thing that is not as it must be; the journal and tpp's log are printed then.
fn run(seed: u64, time: Duration) {
    let journal = Journal::begin();
    let mut scene = Scene::set(seed, &journal);
    let crowd = Crowd::new(seed, &scene, &journal);
    let mut schedule = Schedule::new(seed);
    let work = |number: usize| crowd.act(number, &KINDS);
    while_clients_work(CLIENTS, work, || schedule.run(&mut scene, &crowd, time));
    let (connections, served) = crowd.counts();
    println!(
        "chaos: {} s, seed {seed}: {connections} connections of {CLIENTS} clients, {served} requests served; {schedule}; \
         failures explained: {:?}; 0 violations",
        time.as_secs(),
        scene.judge.explained()
    );
}
