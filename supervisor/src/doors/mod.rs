//! The doors to the supervisor: what comes in there is asked of `outlook` or ordered from `orders`, and nothing is decided here.

pub(crate) mod accept;
pub(crate) mod all;
pub(crate) mod announce;
pub(crate) mod api;
mod bearer;
mod console;
pub mod control;
mod private_socket;
pub mod probes;
mod scrape;
