//! The worker's bond to its supervisor: channels, whose end says that it is gone, and the place where a new one meets
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
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    select,
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tpp::{
    control::private_listener,
    estate::{Role, meeting_place, passing, word},
};
use tracing::{info, warn};

use crate::{clock::millis, worker::Worker};

/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits for the supervisor's word to begin. False: it is gone, and has not noted this process anywhere.
///
/// # Errors
/// If the channel cannot be read.
pub(crate) fn may_begin(channel: &OwnedFd) -> io::Result<bool> {
    let channel = StdUnixStream::from(channel.try_clone()?);
    let mut said = [0];
    loop {
        match io::Read::read(&mut &channel, &mut said) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            read => return Ok(read? == 1 && said == [word::GO]),
        }
    }
}

/// The listening sockets, for a supervisor that takes over. A worker that drains has none to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heirlooms(Arc<Mutex<Vec<OwnedFd>>>);

impl Heirlooms {
    /// # Errors
    /// If the system has no descriptors left.
    pub(crate) fn of(listeners: &[(String, OwnedFd)]) -> io::Result<Self> {
        let listeners = listeners.iter().map(|(_, socket)| socket.try_clone());
        let listeners = listeners.collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Mutex::new(listeners))))
    }

    /// Closes them: a socket that is in a list for heirs would take connections that nobody accepts.
    pub(crate) fn discard(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all that a supervisor needs to go on where another one ended.
    fn send(&self, to: &UnixStream, worker: &Worker) -> io::Result<()> {
        let listeners = self.lock();
        let mut descriptors = worker.desk.descriptors();
        descriptors.extend(listeners.iter().map(|fd| (Role::Listener, fd.as_fd())));
        passing::send(to, &descriptors)
    }
}

/// The place where a supervisor that was started anew meets this worker. Its file goes with it.
#[derive(Debug)]
struct MeetingPlace {
    listener: UnixListener,
    path: PathBuf,
}

impl MeetingPlace {
    fn open(prefix: &Path) -> anyhow::Result<Self> {
        let path = meeting_place(prefix, std::process::id());
        // Left by a process that had our number before.
        let _ = std::fs::remove_file(&path);
        let listener = private_listener(&path).with_context(|| path.display().to_string())?;
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

/// Resolves once there has been no supervisor for too long.
pub(crate) async fn orphaned(
    worker: Arc<Worker>,
    channel: OwnedFd,
    prefix: PathBuf,
    heirlooms: Heirlooms,
) {
    let seat = worker.seat();
    let place = MeetingPlace::open(&prefix)
        .inspect_err(|error| {
            warn!(
                worker = seat,
                error = format!("{error:#}"),
                "no place for a new supervisor to meet this worker"
            );
        })
        .ok();
    let mut channels = JoinSet::new();
    match watched(channel) {
        Ok(channel) => {
            channels.spawn(attend(channel, Arc::clone(&worker), heirlooms.clone()));
        }
        Err(error) => {
            warn!(worker = seat, %error, "cannot watch the supervisor");
            std::future::pending().await
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
                if channels.is_empty() {
                    alone_since = Some(Instant::now());
                    warn!(worker = seat, limit_ms = millis(limit), "the supervisor is gone, serving on");
                }
            }
            stream = met => {
                channels.spawn(attend(stream, Arc::clone(&worker), heirlooms.clone()));
                if alone_since.take().is_some() {
                    info!(worker = seat, "a new supervisor has taken over");
                }
            }
            () = too_long => return,
        }
    }
}

fn watched(channel: OwnedFd) -> io::Result<UnixStream> {
    let channel = StdUnixStream::from(channel);
    channel.set_nonblocking(true)?;
    UnixStream::from_std(channel)
}

/// Does what is asked over a channel, until it ends.
async fn attend(mut channel: UnixStream, worker: Arc<Worker>, heirlooms: Heirlooms) {
    let mut said = [0];
    while channel.read(&mut said).await.is_ok_and(|length| length > 0) {
        if said == [word::ESTATE]
            && let Err(error) = heirlooms.send(&channel, &worker)
        {
            warn!(worker = worker.seat(), %error, "descriptors not handed over");
            return;
        }
    }
}
