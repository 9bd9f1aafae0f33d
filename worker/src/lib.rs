//! The worker: it lends each client connection a token of its own.
//!
//! Pingora carries the connections, with TLS to the upstream where it is asked for; what is said on them is read and written here.
//!
//! - `life`: ready, draining, gone; the link to the supervisor, and to a new one when it dies;
//! - `door`: new connections, shared out fairly between workers; a client, request after request;
//! - `wire`: any connection, with its buffers, and waiting with an eye on the client;
//! - `http1`: the codec: heads read strictly and written anew, bodies and where they end;
//! - `http2`: streams, which look like HTTP/1.1 connections from inside;
//! - `message`: a head whatever its protocol, what fields mean, and what tpp answers itself;
//! - `gateway`: the way of a request: its lease, its attempts, the relay between the two wires;
//! - `upstream`: connections to the upstream, kept and new;
//! - `access_log`, `request_id`, `trace`: a line, a name and a place in its trace for each request;
//! - `worker`: what all connections share; `clock`, `timers`: how long things wait;
//! - `leash`: what ends a connection whose lease was taken back.
//!
//! Nothing is done for each request that can be done for each connection or each token: no timer is armed, no lock is
//! taken that another process or thread may hold, no system call is made but reads and writes.
//!
//! The worker cannot log in and never sees a password.
#![forbid(unsafe_code)]

use std::{
    hash::{BuildHasher as _, RandomState},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nix::sys::prctl;

use tpp::{
    handover::WorkerDescriptors,
    lending::Desk,
    pool::{Epoch, SeatIndex},
    region::{Region, SeatLock},
};

pub use life::link::Papers;
pub use tpp::handover::WorkerArgs;

mod access_log;
mod admission;
mod clock;
mod door;
mod fence;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod hex;
mod http1;
mod http2;
mod leash;
mod life;
mod log;
mod message;
mod rarely;
mod request_id;
mod secured;
mod standing;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod upstream;
mod view;
mod wire;
mod worker;

/// How often, and at what distance, to try for the own seat.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What a worker inherits from its supervisor.
#[derive(Debug)]
pub struct Inherited {
    /// Tells everybody, as long as it is held, that the seat's worker lives.
    pub lock: SeatLock,
    /// Its half of the pool.
    pub desk: Arc<Desk>,
    /// The listening sockets, each with the address it listens on.
    pub listeners: Vec<(String, OwnedFd)>,
    /// A stream socket whose other end the supervisor holds: its end says that the supervisor is gone.
    pub channel: OwnedFd,
    /// Where a new supervisor can meet it: a path, to which it adds its process id.
    pub meeting_prefix: PathBuf,
}

impl Inherited {
    /// Takes over the descriptors that `args` describe.
    ///
    /// # Errors
    /// If one is missing, or the region is of another version.
    pub fn receive(args: WorkerArgs) -> anyhow::Result<Self> {
        let WorkerDescriptors {
            region,
            channel,
            bells,
            listeners,
        } = WorkerDescriptors::receive(args.seats, args.listen.len())
            .context("take over from the supervisor")?;
        let region = Region::open(region).context("open the region")?;
        anyhow::ensure!(
            args.seat < args.seats && args.seats <= SeatIndex::CAPACITY,
            "there is no seat {} among {}",
            args.seat,
            args.seats
        );
        let seat = SeatIndex::new(args.seat);
        let lock = sit_down(&region, seat)?;
        Ok(Self {
            lock,
            desk: Desk::new(Arc::new(region), bells, seat, Epoch::new(args.epoch)),
            listeners: args.listen.into_iter().zip(listeners).collect(),
            channel,
            meeting_prefix: args.meeting_prefix,
        })
    }
}

/// Locks the seat. A forerunner in it that never began may still be on its way out.
fn sit_down(region: &Region, seat: SeatIndex) -> anyhow::Result<SeatLock> {
    for _ in 0..LOCK_TRIES {
        let lock = region.lock_seat(seat);
        if let Some(lock) = lock.context("lock the own seat")? {
            return Ok(lock);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    anyhow::bail!("seat {seat} is another living process's")
}

/// Runs the worker that the supervisor started: see [`serve`].
///
/// # Errors
/// If what it should inherit is not there, and as [`serve`] does.
pub fn run(args: WorkerArgs) -> anyhow::Result<()> {
    prctl::set_name(c"tpp-worker").context("name the process")?;
    // A core would hold tokens; a limit on its size does not stop a handler that takes it through a pipe.
    prctl::set_dumpable(false).context("rule out core dumps")?;
    let inherited = Inherited::receive(args)?;
    let papers = life::link::may_begin(&inherited.channel);
    match papers.context("wait for the supervisor's word")? {
        // The word may be of one that is gone, and its follower may have found this process not yet seated.
        Some(papers) if inherited.desk.is_seated() => serve(inherited, papers),
        _ => Ok(()),
    }
}

/// Serves by `papers`, and by those that follow them, until it is told to end: SIGTERM drains, SIGKILL ends at once. SIGINT is left to the supervisor.
///
/// # Errors
/// If the system refuses what a worker needs.
pub fn serve(inherited: Inherited, papers: Papers) -> anyhow::Result<()> {
    // By the system's own dice: traces begun by workers of several machines are told apart by it.
    fastrand::seed(RandomState::new().hash_one(std::process::id()));
    let log = log::start(&papers.plan.1.settings);
    // Pingora's own thread pools are not used: one thread, whose tasks need no lock against each other.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(life::live(inherited, papers, log.clone()));
    log.flush();
    ended
}
