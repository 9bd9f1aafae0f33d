//! The descriptors a worker inherits, and their order: one place that both sides go by.
//!
//! ```text
//! 3        the region
//! 4        the channel: a stream socket whose other end the supervisor holds; its end says that the supervisor is gone
//! 5        the supervisor's bell
//! 6…       the seats' bells
//! 6+seats… the listening sockets
//! ```
#![expect(
    unsafe_code,
    reason = "takes inherited descriptor numbers into ownership; each block says why it may"
)]

use std::{
    collections::HashSet,
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::{
    bells::BellBoard,
    estate::{INHERITED_VARIABLE, Role},
};

/// Number of the first inherited descriptor.
const FIRST: RawFd = 3;

/// What a worker gets from its supervisor.
#[derive(Debug)]
pub struct Handover {
    /// The region's memory file.
    pub region: OwnedFd,
    /// The channel to the supervisor.
    pub channel: OwnedFd,
    /// All bells.
    pub bells: BellBoard,
    /// The listening sockets, in the order of the addresses given on the command line.
    pub listeners: Vec<OwnedFd>,
}

impl Handover {
    /// Takes over what was inherited.
    ///
    /// # Errors
    /// If a descriptor is missing, or it was called before in this process.
    pub fn receive(seats: usize, listeners: usize) -> io::Result<Self> {
        once()?;
        let mut inherited = (FIRST..).map(take);
        let mut next = || inherited.next().expect("descriptor numbers do not run out");
        Ok(Self {
            region: next()?,
            channel: next()?,
            bells: {
                let supervisor = next()?;
                BellBoard::from_descriptors(
                    (0..seats).map(|_| next()).collect::<io::Result<_>>()?,
                    supervisor,
                )
            },
            listeners: (0..listeners).map(|_| next()).collect::<io::Result<_>>()?,
        })
    }

    /// The supervisor's side: each descriptor with its number in the worker.
    #[must_use]
    pub fn hand_down(self) -> Vec<(OwnedFd, RawFd)> {
        let (seats, supervisor) = self.bells.into_descriptors();
        [self.region, self.channel, supervisor]
            .into_iter()
            .chain(seats)
            .chain(self.listeners)
            .zip(FIRST..)
            .collect()
    }
}

/// Makes sure that a process takes its inherited descriptors over once.
fn once() -> io::Result<()> {
    static RECEIVED: AtomicBool = AtomicBool::new(false);
    // Relaxed: only the swap's own result counts.
    if RECEIVED.swap(true, Relaxed) {
        return Err(io::Error::other(
            "the inherited descriptors were taken over before",
        ));
    }
    Ok(())
}

/// Takes over what a supervisor inherits: from the executable that started this one in its place
/// ([`INHERITED_VARIABLE`]), or from systemd (sd_listen_fds(3)). To be called before anything else is opened.
///
/// # Errors
/// If a descriptor that is announced is not there, or it was called before in this process.
pub fn receive_estate() -> io::Result<Vec<(Role, OwnedFd)>> {
    once()?;
    let mut received = Vec::new();
    for (name, number) in announced() {
        let descriptor = take(number)?;
        // What others called by other names is not for us, and closed.
        if let Ok(role) = name.parse() {
            received.push((role, descriptor));
        }
    }
    Ok(received)
}

fn announced() -> Vec<(String, RawFd)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let by_exec = variable(INHERITED_VARIABLE);
    let mut seen = HashSet::new();
    let by_exec: Vec<_> = by_exec
        .split(',')
        .filter_map(|entry| {
            let (name, number) = entry.split_once(':')?;
            let number: RawFd = number.parse().ok()?;
            let is_named_twice = number < FIRST || !seen.insert(number);
            (!is_named_twice).then(|| (name.to_owned(), number))
        })
        .collect();
    if !by_exec.is_empty() {
        return by_exec;
    }
    let meant_for_us = variable("LISTEN_PID").parse() == Ok(std::process::id());
    let count = variable("LISTEN_FDS").parse().unwrap_or(0);
    let names = variable("LISTEN_FDNAMES");
    let names = names.split(':').map(str::to_owned);
    names
        .zip(FIRST..)
        .take(if meant_for_us { count } else { 0 })
        .collect()
}

/// Takes one inherited descriptor into ownership and closes it to programs that this one may start.
fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the number is only asked about; should nothing be open there, the call below says so and we return.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| {
        io::Error::new(
            io::Error::from(errno).kind(),
            format!("inherited descriptor {number}: {errno}"),
        )
    })?;
    // SAFETY: the descriptor is open (checked above) and nobody else owns it: it was inherited over exec. Our callers,
    // `receive` and `receive_estate`, run once in a process, before anything else is opened. Both take each number
    // once: the first counts, the second goes by a list that `announced` keeps free of repetitions.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
