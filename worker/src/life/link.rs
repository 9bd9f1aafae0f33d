//! The worker's link to its supervisor: channels, whose end says that it is gone, and the place where a new one meets
//! this worker and takes it over.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
    select,
    sync::oneshot,
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tpp::{
    control::private_listener,
    front::SealedFront,
    handover::{Role, meeting::meeting_place, passing, word},
    plan::{Plan, Sealed},
};
use tracing::{error, info, warn};

use crate::{admission::gates::Gates, clock::millis, worker::Worker};

/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(500);

/// By what a worker serves.
#[derive(Debug)]
pub struct Papers {
    pub(crate) plan: (Sealed, Plan),
    pub(crate) gates: Option<Gates>,
}

/// The gates that came in `file`.
fn gates_of(file: OwnedFd) -> anyhow::Result<Gates> {
    let (sealed, front) = SealedFront::read(file)?;
    Gates::new(sealed, &front)
}

/// Waits for a plan and for the supervisor's word to begin. `None`: it is gone, and has not noted this process anywhere.
///
/// # Errors
/// If the channel cannot be read, or there is no plan in it.
pub(crate) fn may_begin(channel: &OwnedFd) -> anyhow::Result<Option<Papers>> {
    let (mut plan, mut gates) = (None, None);
    loop {
        match passing::receive_word(channel) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(None) => return Ok(None),
            Ok(Some((word::PLAN, Some(file)))) => plan = Some(Sealed::read(file)?),
            Ok(Some((word::FRONT, Some(file)))) => gates = Some(gates_of(file)?),
            Ok(Some((word::GO, _))) => {
                let plan = plan.context("there is no plan")?;
                return Ok(Some(Papers { plan, gates }));
            }
            // Of a supervisor that says more than this worker knows.
            Ok(Some(_)) => {}
        }
    }
}

/// The listening sockets, for a supervisor that takes over. A worker that drains has none to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpareSockets(Arc<Mutex<Vec<OwnedFd>>>);

impl SpareSockets {
    /// # Errors
    /// If the system has no descriptors left.
    pub(crate) fn of(listeners: &[(String, OwnedFd)]) -> io::Result<Self> {
        let listeners = listeners.iter().map(|(_, socket)| socket.try_clone());
        let listeners = listeners.collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Mutex::new(listeners))))
    }

    /// Closes them: a socket that is in a list for others would take connections that nobody accepts.
    pub(crate) fn discard(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all that a supervisor needs to go on where another one ended.
    fn send(&self, to: &UnixStream, worker: &Worker) -> io::Result<()> {
        let listeners = self.lock();
        let plan = worker.sealed_plan();
        let mut descriptors = worker.desk.descriptors();
        descriptors.push((Role::Plan, plan.as_fd()));
        let gates = worker.gates();
        descriptors.extend(
            gates
                .iter()
                .map(|gates| (Role::Front, gates.sealed.as_fd())),
        );
        descriptors.extend(listeners.iter().map(|fd| (Role::Listener, fd.as_fd())));
        passing::send(to, &descriptors)
    }
}

/// The place where a supervisor that was started anew meets this worker. Its file goes with it.
#[derive(Debug)]
pub(crate) struct MeetingPlace {
    listener: UnixListener,
    path: PathBuf,
}

impl MeetingPlace {
    /// # Errors
    /// If the directory is not ours to write to, or the path is too long.
    pub(crate) fn open(prefix: &Path) -> anyhow::Result<Self> {
        let path = meeting_place(prefix, std::process::id());
        // Under its name it is found only when it listens: one that is found deaf is taken for a dead worker's.
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let _ = std::fs::remove_file(&new);
        let listener = private_listener(&new).with_context(|| path.display().to_string())?;
        std::fs::rename(&new, &path).with_context(|| path.display().to_string())?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { listener, path })
    }

    /// The next connection of our own user's.
    async fn next(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_our_own(&stream) => return stream,
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for MeetingPlace {
    fn drop(&mut self) {
        // What stays behind is found dead by the next supervisor, and removed.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The file's mode lets nobody else in; root may do as it likes.
fn is_our_own(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Keeps up the link, as long as the worker lives. `orphaned` is told once there has been no supervisor for too long; one
/// may still take the worker over while it drains.
pub(crate) async fn keep(
    worker: Arc<Worker>,
    channel: OwnedFd,
    place: Option<MeetingPlace>,
    spare_sockets: SpareSockets,
    orphaned: oneshot::Sender<()>,
) {
    let seat = worker.seat();
    let mut orphaned = Some(orphaned);
    let mut channels = JoinSet::new();
    match watched(channel) {
        Ok(channel) => {
            channels.spawn(attend(channel, Arc::clone(&worker), spare_sockets.clone()));
        }
        Err(error) => {
            warn!(worker = seat, %error, "cannot watch the supervisor");
            channels.spawn(std::future::pending());
        }
    }
    let mut alone_since = None;
    loop {
        let limit = worker.view().settings.orphan_timeout;
        let deadline = alone_since.map(|since: Instant| since + limit);
        let too_long = async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let met = async {
            match &place {
                Some(place) => place.next().await,
                None => std::future::pending().await,
            }
        };
        select! {
            Some(_) = channels.join_next() => {
                if channels.is_empty() && orphaned.is_some() {
                    alone_since = Some(Instant::now());
                    warn!(worker = seat, limit_ms = millis(limit), "the supervisor is gone, serving on");
                }
            }
            stream = met => {
                channels.spawn(attend(stream, Arc::clone(&worker), spare_sockets.clone()));
                if alone_since.take().is_some() {
                    info!(worker = seat, "a new supervisor has taken over");
                }
            }
            () = too_long => {
                alone_since = None;
                // The worker may drain already, and listen no more.
                let _ = orphaned.take().map(|orphaned| orphaned.send(()));
            }
        }
    }
}

fn watched(channel: OwnedFd) -> io::Result<UnixStream> {
    let channel = StdUnixStream::from(channel);
    channel.set_nonblocking(true)?;
    UnixStream::from_std(channel)
}

/// Does what is asked over a channel, until it ends.
async fn attend(channel: UnixStream, worker: Arc<Worker>, spare_sockets: SpareSockets) {
    let seat = worker.seat();
    while let Ok(Some((said, file))) = next_word(&channel).await {
        match (said, file) {
            (word::HAND_OVER, _) => {
                if let Err(error) = spare_sockets.send(&channel, &worker) {
                    warn!(worker = seat, %error, "descriptors not handed over");
                    return;
                }
            }
            (word::STOP, _) => worker.stop(),
            (word::FRONT, Some(file)) => match gates_of(file) {
                Ok(gates) => worker.take_gates(gates),
                Err(error) => {
                    let error = format!("{error:#}");
                    error!(
                        worker = seat,
                        error, "no front door that can be used: the old one stays"
                    );
                }
            },
            (word::PLAN, Some(file)) => match Sealed::read(file) {
                Ok(plan) => worker.take_plan(plan),
                Err(error) => {
                    error!(worker = seat, %error, "no plan that can be acted on: the old one goes on");
                }
            },
            _ => {}
        }
    }
}

/// The next word over the channel, with its descriptor. `None`: the other end is gone.
async fn next_word(channel: &UnixStream) -> io::Result<Option<(u8, Option<OwnedFd>)>> {
    loop {
        channel.readable().await?;
        let received = channel.try_io(Interest::READABLE, || passing::receive_word(channel));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
    }
}
