//! Certificates that tpp gets by itself, from a real authority: Debian's pebble, on loopback, with names of its own. `make acme` runs these.

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/browser.rs"]
#[allow(dead_code, reason = "it belongs to the tests of the front door")]
mod browser;

mod account;
mod away;
mod issue;
mod pebble;
mod scene;
