//! What the process asks of the system before it begins.

use std::io;

use anyhow::Context;
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};
use tpp::region::Region;
use tracing::{info, warn};

use super::pidfd::open_pidfd;

/// Raises the limit on open descriptors as far as it goes, and rules out core dumps, which would hold
/// passwords and tokens. Workers inherit both.
pub fn prepare() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        warn!(error = %errno, "limit on open descriptors not raised");
    }
    // Each for itself: a limit does not stop a handler that takes a core through a pipe.
    let no_cores = [
        setrlimit(Resource::RLIMIT_CORE, 0, 0),
        prctl::set_dumpable(false),
    ];
    for errno in no_cores.into_iter().filter_map(Result::err) {
        warn!(error = %errno, "core dumps not ruled out");
    }
}

/// Calls the process by its name: one that was started through a descriptor, in another one's place, bears the number.
pub fn take_name() {
    if let Err(errno) = prctl::set_name(c"tpp") {
        warn!(error = %errno, "the process keeps the name that it has");
    }
}

/// Keeps the tokens of the slots in use, and of `sessions` at the least, out of swap. To be called whenever slots are added.
pub(crate) fn lock_tokens(region: &Region, sessions: usize) {
    if let Err(error) = region.lock_tokens(sessions.max(region.slots_used())) {
        info!(%error, "tokens are not locked in memory: raise the limit (LimitMEMLOCK) to keep them out of swap");
    }
}

/// Finds out whether the system has what nothing works without: else workers would be started and lost, again and again.
///
/// # Errors
/// If not: one line says what is missing.
pub(crate) fn require_pidfd() -> anyhow::Result<()> {
    explain(open_pidfd(std::process::id()).map(drop))
}

fn explain(opened: io::Result<()>) -> anyhow::Result<()> {
    opened.context(
        "pidfd_open is not to be had: tpp needs Linux 5.3 or later, and a container runtime that allows it (Docker 20.10 or later)",
    )
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn what_the_system_lacks_is_said_in_one_line() {
        assert!(require_pidfd().is_ok());
        for errno in [Errno::ENOSYS, Errno::EPERM] {
            let error = explain(Err(errno.into())).unwrap_err();
            let line = format!("{error:#}");
            assert!(line.starts_with("pidfd_open is not to be had"), "{line}");
            assert!(line.contains("Linux 5.3"), "{line}");
        }
    }
}
