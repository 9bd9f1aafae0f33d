//! The worker: a Pingora service that lends each client connection a token of its own.
//!
//! Pingora listens, accepts, and connects to the upstream, with TLS where it is asked for. What lies between is here:
//! one task for each client connection ([`connection`]) reads a request ([`request`]), sees to it that the connection holds a lease
//! ([`held`]), and relays request and answer ([`relay`], [`answer`], [`body`]). Nothing is done for each request that can be done for each
//! connection or each token: no timer ([`clock`]), no lock that anybody else may hold, no system call but reads and writes.
#![forbid(unsafe_code)]

use std::{os::fd::OwnedFd, sync::Arc};

use anyhow::Context as _;
use tpp::pool::Desk;

mod answer;
mod attend;
mod body;
mod clock;
mod connection;
mod headers;
mod held;
mod lifecycle;
mod log;
mod relay;
mod reply;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod upstream;
mod wire;
mod worker;

/// What a worker inherits from its supervisor.
#[derive(Debug)]
pub struct Inherited {
    /// Its half of the pool.
    pub desk: Arc<Desk>,
    /// The listening sockets, each with the address it listens on.
    pub listeners: Vec<(String, OwnedFd)>,
    /// A stream socket whose other end the supervisor holds: its end says that the supervisor is gone.
    pub channel: OwnedFd,
}

/// Serves until it is told to end: SIGTERM drains, a second one ends at once. SIGINT is left to the supervisor.
///
/// # Errors
/// If the supervisor published no settings, or the system refuses what a worker needs.
pub fn run(inherited: Inherited) -> anyhow::Result<()> {
    let settings = inherited
        .desk
        .settings()
        .context("read the published settings")?;
    let log = log::start(&settings);
    // Pingora's own thread pools are not used: one thread, whose tasks need no lock against each other.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(lifecycle::live(inherited, log))
}
