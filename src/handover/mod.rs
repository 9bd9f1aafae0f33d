//! How descriptors travel from one process to another: each way in a file of its own, writer beside reader.
//!
//! | way | who | file |
//! |---|---|---|
//! | over `exec`, in this one's place | a supervisor and a newer executable | [`exec`] |
//! | through systemd's store | a supervisor and the one that systemd starts after it | [`store`] |
//! | over a socket | a worker, and a supervisor that finds it alive | [`passing`], found by [`meeting`] |
//! | at the start of a worker | a supervisor and its worker | [`worker`] |
//!
//! The first three bring the same named descriptors ([`Role`]); a worker counts its own.

mod bells;
pub mod exec;
mod inherit;
pub mod meeting;
mod names;
pub mod passing;
pub mod store;
pub mod worker;

use std::{io, os::fd::OwnedFd};

pub use bells::{bells_of, names_of};
pub use names::{Role, UnknownRole, duplicate};
pub use worker::{WorkerArgs, WorkerDescriptors};

/// Version of the names and of what they stand for. A new executable that does not know it must not take over.
pub const FORMAT: u32 = 1;

/// What a supervisor says to a worker over a channel, a byte each.
pub mod word {
    /// Begin: your seat is filled and your process noted. A worker whose channel ends before has never served.
    pub const GO: u8 = b'g';
    /// Send me your descriptors ([`super::passing`]).
    pub const HAND_OVER: u8 = b'e';
    /// Act on this plan from now on. Its memory file comes with the byte ([`super::passing::send_word`]).
    pub const PLAN: u8 = b'p';
    /// Let clients in by this front door from now on. Its memory file comes with the byte, before that of a plan that needs it.
    pub const FRONT: u8 = b'f';
    /// tpp stops, and you with it: drain, and let idle clients go soon, for nobody follows you. A worker that is only told
    /// SIGTERM is being replaced. A supervisor that takes over never has to take this back: who heard it drains.
    pub const STOP: u8 = b's';
}

/// Takes over what a supervisor inherits: from the executable that started this one in its place ([`exec`]), or from
/// systemd ([`store`]). To be called before anything else is opened.
///
/// # Errors
/// If a descriptor that is announced is not there, or it was called before in this process.
pub fn receive() -> io::Result<Vec<(Role, OwnedFd)>> {
    inherit::once()?;
    let variable = |name| std::env::var(name).unwrap_or_default();
    let by_exec = exec::announced(&variable(exec::INHERITED_VARIABLE));
    let announced = if by_exec.is_empty() {
        store::announced(std::process::id(), variable)
    } else {
        by_exec
    };
    let mut received = Vec::new();
    for (name, number) in announced {
        let descriptor = inherit::take(number)?;
        // What others called by other names is not for us, and closed.
        if let Ok(role) = name.parse() {
            received.push((role, descriptor));
        }
    }
    Ok(received)
}
