//! The front door as clients meet it: certificates by name, handshakes that come to nothing, what is asked of whom, files that
//! change, sessions that go on at another worker, proxies that say whose connection they bring.

#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/http2.rs"]
mod speaks;

mod handshakes;
mod hosts;
mod http2;
mod rotation;
mod same;
mod scene;
mod tokens;
mod trusted;
mod tunnel;
