//! One worker process: how it is started, told, and how its end becomes known.
//!
//! A process is held by its pidfd (pidfd_open(2)), never by its number: so a worker that another supervisor started is
//! followed and signalled like a child of our own, and no signal ever hits a process that got the number later.

pub(crate) mod start;

use std::{
    cell::Cell,
    io,
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::{Interest, unix::AsyncFd};
use tpp::{
    front::SealedFront,
    handover::{Role, passing, word},
    hash::hash_on,
    plan::Sealed,
    pool::{Epoch, SeatIndex},
};

use crate::system::{
    children::Own,
    pidfd::{Ending, reap},
    sockets::ForWorkers,
    systemd,
};

/// What the workers of one supervisor have in common.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Listening sockets, each with its address as it was bound.
    pub(crate) listeners: Vec<(String, OwnedFd)>,
    /// Where a new supervisor can meet a worker: the path, but for its process id.
    pub(crate) meeting_prefix: PathBuf,
    /// What each inherits and never touches, where there are other hosts: it says that this host's processes have not all ended.
    pub(crate) life: Option<OwnedFd>,
    /// Of our own executable: see [`Launch::fingerprint`].
    pub(crate) image: u64,
}

impl Launch {
    /// Has workers that are started from now on accept on `sockets`.
    pub(crate) fn change_sockets(&mut self, sockets: Vec<ForWorkers>) {
        let mut old = std::mem::take(&mut self.listeners);
        let before = old.len();
        for socket in sockets {
            match socket {
                ForWorkers::New(address, socket) => {
                    self.listeners.push((address.to_string(), socket));
                }
                ForWorkers::Kept(address) => {
                    let address = address.to_string();
                    let at = old.iter().position(|(kept, _)| *kept == address);
                    self.listeners.extend(at.map(|at| old.swap_remove(at)));
                }
            }
        }
        if !old.is_empty() || self.listeners.len() != before {
            systemd::forget(&Role::Listener.to_string());
            systemd::keep_all(self.sockets());
        }
    }

    /// Duplicates of the sockets, as far as the system has descriptors left.
    pub(crate) fn try_clone_sockets(&self) -> Vec<TcpListener> {
        let sockets = self.listeners.iter();
        let clones = sockets.filter_map(|(_, socket)| socket.try_clone().ok());
        clones.map(TcpListener::from).collect()
    }

    /// The sockets, for whoever keeps them for a successor.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (Role, BorrowedFd<'_>)> {
        let sockets = self.listeners.iter();
        sockets.map(|(_, socket)| (Role::Listener, socket.as_fd()))
    }

    /// Differs when a worker started now would be another one: of another executable, or with other sockets.
    pub(crate) fn fingerprint(&self) -> u64 {
        // In whatever order the configuration names them.
        let mut addresses: Vec<_> = self
            .listeners
            .iter()
            .map(|(address, _)| address.as_bytes())
            .collect();
        addresses.sort_unstable();
        addresses.iter().fold(self.image, |hash, address| {
            // The separator keeps ["ab", "c"] and ["a", "bc"] apart.
            hash_on(hash_on(hash, address), &[0])
        })
    }
}

/// A running worker. Dropping it leaves the process alone.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
    /// Its end is taken here.
    _own: Own,
    /// The worker sees its other end close when the supervisor is gone. `None`: it could not be met.
    channel: Option<UnixStream>,
    was_killed: Cell<bool>,
    /// Generation of the newest plan that lies in the channel.
    sent_plan: u64,
    /// Number of the newest front door that lies there.
    sent_front: u64,
}

/// A worker of a predecessor's.
pub(crate) type Adopted = (SeatIndex, Epoch, WorkerProcess);

impl WorkerProcess {
    /// A worker that runs already. The caller knows that `pidfd` is the worker's.
    pub(crate) fn adopted(pid: u32, pidfd: OwnedFd, channel: Option<UnixStream>) -> Self {
        Self {
            pid,
            pidfd,
            _own: Own::new(pid),
            channel,
            was_killed: Cell::new(false),
            sent_plan: 0,
            sent_front: 0,
        }
    }

    /// Lets a started worker begin, by `plan` and behind `front`. To be called once it is noted in its seat, where a successor of ours will
    /// look.
    pub(crate) fn let_begin(&mut self, front: Option<&SealedFront>, plan: &Sealed) {
        self.bring(front, plan);
        if let Some(channel) = &self.channel {
            // It may have ended already; that is seen elsewhere.
            let _ = passing::send_word(channel, word::GO, None);
        }
    }

    /// Has the worker act on `plan` and let clients in by `front`, as far as they were not sent already. One that reads nothing is
    /// tried again at the next call.
    pub(crate) fn bring(&mut self, front: Option<&SealedFront>, plan: &Sealed) {
        if let Some(front) = front
            && !self.bring_front(front)
        {
            return;
        }
        if self.sent_plan >= plan.generation() {
            return;
        }
        if let Some(channel) = &self.channel
            && passing::send_word(channel, word::PLAN, Some(plan.as_fd())).is_ok()
        {
            self.sent_plan = plan.generation();
        }
    }

    /// Whether it was sent, now or before.
    fn bring_front(&mut self, front: &SealedFront) -> bool {
        if self.sent_front < front.number()
            && let Some(channel) = &self.channel
            && passing::send_word(channel, word::FRONT, Some(front.as_fd())).is_ok()
        {
            self.sent_front = front.number();
        }
        self.sent_front >= front.number()
    }

    /// Tells the worker that all of tpp stops. Signals tell it to drain; this says that nobody follows it.
    pub(crate) fn say_stop(&self) {
        if let Some(channel) = &self.channel {
            // It may have ended already; a channel so full that it takes no byte is that of a process that stands still.
            let _ = rustix::net::send(
                channel,
                &[word::STOP],
                rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
            );
        }
    }

    /// Whether it would see our end.
    pub(crate) fn has_channel(&self) -> bool {
        self.channel.is_some()
    }

    /// Ends it at once; false: it was tried before, and the process does not end yet, for the kernel holds it in a call.
    pub(crate) fn kill(&self) -> bool {
        self.signal(Signal::KILL);
        !self.was_killed.replace(true)
    }

    /// Tells it from all others, those that had or will have its process id included, as long as this is held.
    pub(crate) fn key(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        // ESRCH: it has ended.
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Resolves once the process has ended.
    ///
    /// # Errors
    /// If its descriptor cannot be watched.
    pub(crate) fn ended(&self) -> io::Result<impl Future<Output = Ending> + Send + use<>> {
        let pidfd = watch(self.pidfd.try_clone()?)?;
        Ok(async move {
            // Only the runtime's end makes this fail.
            let _ = pidfd.readable().await;
            reap(pidfd.get_ref().as_fd())
        })
    }

    /// What a successor of ours needs of it.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (Role, BorrowedFd<'_>)> {
        let process = (Role::Process(self.pid), self.pidfd.as_fd());
        let channel = self.channel.as_ref();
        let channel = channel.map(|channel| (Role::Channel(self.pid), channel.as_fd()));
        std::iter::once(process).chain(channel)
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe; the descriptor is ours alone and registered once, here"
)]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::pidfd::open_pidfd;

    #[expect(clippy::zombie_processes, reason = "it is reaped through its pidfd")]
    fn shell(script: &str) -> WorkerProcess {
        let child = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .spawn()
            .unwrap();
        WorkerProcess::adopted(child.id(), open_pidfd(child.id()).unwrap(), None)
    }

    #[tokio::test]
    async fn the_end_of_a_child_is_told_as_it_was() {
        let exited = shell("exit 7");
        assert_eq!(exited.ended().unwrap().await, Ending::Exited(7));
        let killed = shell("sleep 60");
        killed.signal(Signal::KILL);
        assert_eq!(
            killed.ended().unwrap().await.to_string(),
            "killed by SIGKILL"
        );
        // Reaped: nothing is there to be hit.
        killed.signal(Signal::TERM);
        assert!(open_pidfd(killed.pid).is_err());
    }

    #[tokio::test]
    async fn a_kill_is_news_once_though_it_is_sent_again() {
        let worker = shell("sleep 60");
        let ended = worker.ended().unwrap();
        assert!(worker.kill());
        assert!(!worker.kill());
        assert_eq!(ended.await, Ending::Killed(9));
    }

    #[tokio::test]
    async fn a_process_that_has_the_number_of_one_that_ended_has_another_key() {
        let one = shell("exit 0");
        one.ended().unwrap().await;
        // It is reaped, so that the number is free.
        let other = open_pidfd(std::process::id()).unwrap();
        let next = WorkerProcess::adopted(one.pid, other, None);
        assert_eq!(next.pid, one.pid);
        assert_ne!(next.key(), one.key());
    }

    #[test]
    fn other_sockets_or_another_executable_make_another_fingerprint() {
        let launch = |image, addresses: &[&str]| {
            let socket =
                |address: &&str| ((*address).to_owned(), tempfile::tempfile().unwrap().into());
            Launch {
                listeners: addresses.iter().map(socket).collect(),
                meeting_prefix: PathBuf::new(),
                life: None,
                image,
            }
            .fingerprint()
        };
        let one = launch(1, &["127.0.0.1:80", "127.0.0.1:81"]);
        assert_eq!(one, launch(1, &["127.0.0.1:80", "127.0.0.1:81"]));
        assert_ne!(one, launch(2, &["127.0.0.1:80", "127.0.0.1:81"]));
        assert_ne!(one, launch(1, &["127.0.0.1:80"]));
        assert_ne!(one, launch(1, &["127.0.0.1:8", "0127.0.0.1:81"]));
    }
}
