//! What systemd is told and given to keep (sd_notify(3)). Without systemd all of it does nothing.

use std::{io, os::fd::BorrowedFd, time::Duration};

use sd_notify::NotifyState;
use tpp::handover::Role;
use tracing::warn;

/// Whether there is anybody to tell.
pub(crate) fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says that tpp serves.
pub(crate) fn ready() {
    report(sd_notify::notify(&[NotifyState::Ready]));
}

/// Says that a reload that systemd did not order has begun; [`ready`] ends it.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    report(now.and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])));
}

/// Says that tpp ends.
pub(crate) fn stopping() {
    report(sd_notify::notify(&[NotifyState::Stopping]));
}

/// Says in one line how things are, for `systemctl status`.
pub(crate) fn status(line: &str) {
    report(sd_notify::notify(&[NotifyState::Status(line)]));
}

/// Says that the supervisor is not stuck.
pub(crate) fn feed_watchdog() {
    report(sd_notify::notify(&[NotifyState::Watchdog]));
}

/// How often [`feed_watchdog`] is expected at the least.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives systemd descriptors to keep for the next supervisor.
pub(crate) fn keep_all<'a>(descriptors: impl IntoIterator<Item = (Role, BorrowedFd<'a>)>) {
    for (role, descriptor) in descriptors {
        let name = role.to_string();
        let message = [NotifyState::FdStore, NotifyState::FdName(&name)];
        report(sd_notify::notify_with_fds(&message, &[descriptor]));
    }
}

/// Lets systemd drop all that it keeps under the name of a [`Role`].
pub(crate) fn forget(name: &str) {
    report(sd_notify::notify(&[
        NotifyState::FdStoreRemove,
        NotifyState::FdName(name),
    ]));
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        warn!(%error, "systemd was not told");
    }
}
