//! The harness of the whole-program tests: a tpp started as a user starts it, an upstream that can
//! misbehave, and clients that can too. It looks at tpp from outside only: sockets, exit codes, what
//! `tppctl` and the health endpoint say, and `/proc`.

#![allow(
    dead_code,
    reason = "each test program is a crate of its own and uses its own part of the harness"
)]

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

mod asking;
pub(crate) mod built;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod dice;
pub(crate) mod etcd;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod load;
pub(crate) mod message;
pub(crate) mod origin;
pub(crate) mod place;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod refusal;
pub(crate) mod settings;
mod succession;

pub(crate) mod upstream;

/// How long a condition may take to come true before the test fails. It is no measure of speed: it is long
/// enough for a machine with much else to do, and `TPP_TEST_PATIENCE_SECONDS` makes it longer.
pub(crate) fn patience() -> Duration {
    seconds_from("TPP_TEST_PATIENCE_SECONDS", 60)
}

/// A duration that a person may lengthen through the environment.
pub(crate) fn seconds_from(variable: &str, default: u64) -> Duration {
    let seconds = env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default);
    Duration::from_secs(seconds)
}

/// Says that the test `name` cannot check here what it is for: to whoever reads its output, and in the file that `NOT_CHECKED`
/// names, as packaging's checks do.
pub(crate) fn not_checked(name: &str, why: &str) {
    println!("NOT CHECKED: {why}");
    if let Some(file) = env::var_os("NOT_CHECKED") {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        let written =
            opened.and_then(|mut file| file.write_all(format!("{name}: {why}\n").as_bytes()));
        written.expect("write to the file that NOT_CHECKED names");
    }
}

/// Waits until `check` holds; panics with `claim` when patience ends.
#[track_caller]
pub(crate) fn wait_until(claim: &str, mut check: impl FnMut() -> bool) {
    wait_for(claim, || check().then_some(()));
}

/// Waits until `check` gives a value, and returns it; panics with `claim` when patience ends.
#[track_caller]
pub(crate) fn wait_for<T>(claim: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let value = within_patience(&mut check);
    value.unwrap_or_else(|| panic!("waited {:?} in vain: {claim}", patience()))
}

/// What `check` gives before patience ends.
pub(crate) fn within_patience<T>(mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience();
    loop {
        let value = check();
        if value.is_some() || Instant::now() > deadline {
            return value;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
