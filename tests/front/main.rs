//! The front door as clients meet it: certificates by name, handshakes that come to nothing, what is asked of whom, files that
//! change, sessions that go on at another worker, proxies that say whose connection they bring.

#[path = "../common/mod.rs"]
mod common;

mod browser;
mod handshakes;
mod hosts;
mod rotation;
mod scene;
mod tokens;
mod trusted;
mod tunnel;
