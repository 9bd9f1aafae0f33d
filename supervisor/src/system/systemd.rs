//! What systemd is told and given to keep (sd_notify(3)). Without systemd all of it does nothing. None of it waits: what
//! systemd does not take now it is told by [`catch_up`].

use std::{
    os::fd::BorrowedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tpp::handover::Role;
use tracing::warn;

use super::notices::{About, Notice, Notices, send_to};

/// systemd's socket, in the words of sd_notify(3).
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How soon to try again what was not taken.
pub(crate) const RETRY: Duration = Duration::from_millis(20);
/// How long the end of this process, or its place's change, may wait for systemd to take what it is to know.
const LAST_WORDS: Duration = Duration::from_secs(1);

static NOTICES: Mutex<Notices> = Mutex::new(Notices::none());

/// Whether there is anybody to tell.
pub(crate) fn listens() -> bool {
    std::env::var_os(SOCKET_VARIABLE).is_some()
}

/// Says that tpp serves.
pub(crate) fn ready() {
    tell(About::Step, &[NotifyState::Ready]);
}

/// Says that a reload that systemd did not order has begun; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(About::Step, &[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "systemd is not told of a reload"),
    }
}

/// Says that tpp ends.
pub(crate) fn stopping() {
    tell(About::Step, &[NotifyState::Stopping]);
}

/// Says in one line how things are, for `systemctl status`.
pub(crate) fn status(line: &str) {
    tell(About::Numbers, &[NotifyState::Status(line)]);
}

/// Says that the supervisor is not stuck.
pub(crate) fn feed_watchdog() {
    tell(About::Life, &[NotifyState::Watchdog]);
}

/// How often [`feed_watchdog`] is expected at the least.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives systemd descriptors to keep for the next supervisor.
pub(crate) fn keep_all<'a>(descriptors: impl IntoIterator<Item = (Role, BorrowedFd<'a>)>) {
    if !listens() {
        return;
    }
    for (role, descriptor) in descriptors {
        let name = role.to_string();
        let text = text_of(&[NotifyState::FdStore, NotifyState::FdName(&name)]);
        match descriptor.try_clone_to_owned() {
            Ok(descriptor) => give(Notice {
                about: About::Keep(name),
                text,
                descriptor: Some(descriptor),
            }),
            Err(error) => warn!(%error, name, "systemd is not given a descriptor to keep"),
        }
    }
}

/// Lets systemd drop all that it keeps under the name of a [`Role`].
pub(crate) fn forget(name: &str) {
    let states = [NotifyState::FdStoreRemove, NotifyState::FdName(name)];
    tell(About::Forget(name.to_owned()), &states);
}

/// Whether systemd is still to be told something. [`RETRY`] from now it may take it.
pub(crate) fn is_behind() -> bool {
    notices().are_waiting()
}

/// Tells systemd what it has not taken so far.
pub(crate) fn catch_up() {
    if let Ok(path) = std::env::var(SOCKET_VARIABLE) {
        notices().send(|notice| send_to(&path, notice));
    }
}

/// Waits until systemd was told all, or is not to be waited for any longer.
pub(crate) async fn told() {
    let until = Instant::now() + LAST_WORDS;
    while is_behind() && Instant::now() < until {
        tokio::time::sleep(RETRY).await;
        catch_up();
    }
}

fn tell(about: About, states: &[NotifyState<'_>]) {
    give(Notice {
        about,
        text: text_of(states),
        descriptor: None,
    });
}

fn text_of(states: &[NotifyState<'_>]) -> String {
    states.iter().map(|state| format!("{state}\n")).collect()
}

fn give(notice: Notice) {
    if !listens() {
        return;
    }
    notices().add(notice);
    catch_up();
}

fn notices() -> MutexGuard<'static, Notices> {
    NOTICES.lock().unwrap_or_else(PoisonError::into_inner)
}
