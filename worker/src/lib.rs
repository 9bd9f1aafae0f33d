//! The worker: a Pingora service that lends each client connection a token of its own.
//!
//! Pingora listens, accepts, and connects to the upstream, with TLS where it is asked for. What lies between is here:
//! one task for each client connection ([`connection`]) reads a request ([`request`]), sees to it that the connection holds a lease
//! ([`held`]), and relays request and answer ([`relay`], [`answer`], [`body`]). Nothing is done for each request that can be done for each
//! connection or each token: no timer ([`clock`]), no lock that anybody else may hold, no system call but reads and writes.
#![forbid(unsafe_code)]

use std::{os::fd::OwnedFd, sync::Arc};

use anyhow::Context as _;
use nix::sys::prctl;
use tpp::{
    handover::Handover,
    pool::{Desk, Epoch, SeatIndex},
    region::Region,
};

mod accept;
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
#[cfg(test)]
mod tests;
mod upstream;
mod wire;
mod worker;

/// What the supervisor tells a worker on its command line.
#[derive(Debug, Clone, clap::Args)]
pub struct WorkerArgs {
    /// Index of its seat
    #[arg(long)]
    pub seat: usize,
    /// Which filling of the seat it is
    #[arg(long)]
    pub epoch: u64,
    /// Number of seats in the region, and so of bells handed down
    #[arg(long)]
    pub seats: usize,
    /// Address of each listening socket handed down, in their order
    #[arg(long)]
    pub listen: Vec<String>,
}

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

impl Inherited {
    /// Takes over the descriptors that `args` describe.
    ///
    /// # Errors
    /// If one is missing, or the region is of another version.
    pub fn receive(args: WorkerArgs) -> anyhow::Result<Self> {
        let Handover {
            region,
            channel,
            bells,
            listeners,
        } = Handover::receive(args.seats, args.listen.len())
            .context("take over from the supervisor")?;
        let region = Region::open(region).context("open the region")?;
        anyhow::ensure!(
            args.seat < args.seats && args.seats <= SeatIndex::CAPACITY,
            "there is no seat {} among {}",
            args.seat,
            args.seats
        );
        Ok(Self {
            desk: Desk::new(
                Arc::new(region),
                bells,
                SeatIndex::new(args.seat),
                Epoch::new(args.epoch),
            ),
            listeners: args.listen.into_iter().zip(listeners).collect(),
            channel,
        })
    }
}

/// Runs the worker that the supervisor started: see [`serve`].
///
/// # Errors
/// If what it should inherit is not there, and as [`serve`] does.
pub fn run(args: WorkerArgs) -> anyhow::Result<()> {
    prctl::set_name(c"tpp-worker").context("name the process")?;
    // A core would hold tokens; a limit on its size does not stop a handler that takes it through a pipe.
    prctl::set_dumpable(false).context("rule out core dumps")?;
    serve(Inherited::receive(args)?)
}

/// Serves until it is told to end: SIGTERM drains, a second one ends at once. SIGINT is left to the supervisor.
///
/// # Errors
/// If the supervisor published no settings, or the system refuses what a worker needs.
pub fn serve(inherited: Inherited) -> anyhow::Result<()> {
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
