//! From one supervisor to the next: what a predecessor left is collected (`collect`, `meet`), and left to a new
//! executable in turn (`upgrade`). What there was of it stands in the region (`history`).
//!
//! It comes on three ways, and all bring the same named descriptors ([`tpp::handover`]): over `exec`, when a new
//! executable starts in this one's place; from systemd's store, when the service is started again; or, without
//! systemd, from the workers that are still alive.

pub(crate) mod history;
mod meet;
pub mod upgrade;

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{UnixAddr, getsockname},
};
use tpp::{
    bells::BellBoard,
    front::{Front, SealedFront},
    handover::{Role, bells_of},
    lending::Stock,
    plan::{Plan, Sealed},
    pool::SeatIndex,
    region::{Region, SeatLock},
    roster::{SeatState, SeatWord},
};
use tracing::{error, info, warn};

use crate::{
    process::{Adopted, WorkerProcess},
    system::pidfd::{open_pidfd, reap},
};

/// What a predecessor left, sorted.
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    /// Of `tppctl`, which waits for the end of the upgrade.
    pub(crate) caller: Option<UnixStream>,
    listeners: Vec<TcpListener>,
    health: Vec<TcpListener>,
    /// TCP or Unix.
    api: Vec<OwnedFd>,
    region: Option<(Region, BellBoard)>,
    plan: Option<Plan>,
    front: Option<Front>,
    processes: BTreeMap<u32, Held>,
}

/// What is at hand of a worker.
#[derive(Debug)]
struct Held {
    pidfd: OwnedFd,
    channel: Option<UnixStream>,
}

/// Who sits in a filled seat.
enum Occupant {
    Lives(WorkerProcess),
    /// Nobody; the lock keeps others out until the seat is vacant.
    Gone(Option<SeatLock>),
    /// It lives, but there is no way to see when it ends.
    Unseen(io::Error),
}

/// The workers on a region that was taken over.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) workers: Vec<Adopted>,
    /// Leases of workers that died meanwhile.
    pub(crate) leases_freed: u64,
}

/// Brings together what was `inherited` and what living workers at `meeting_prefix` have.
///
/// Workers that do not answer within `patience` hang: nobody else can be in charge of them, so they are killed.
pub(crate) fn collect(
    inherited: Vec<(Role, OwnedFd)>,
    meeting_prefix: &Path,
    patience: Duration,
) -> Takeover {
    let mut takeover = Takeover::default();
    let mut processes = takeover.sort(inherited);
    let met = meet::workers(meeting_prefix);
    if takeover.region.is_none() {
        takeover.take_from(&met, patience);
    }
    for worker in met {
        let (pid, pidfd, channel) = worker.into_parts();
        let held = processes.entry(pid).or_default();
        held.0.get_or_insert(pidfd);
        held.1.get_or_insert(channel);
    }
    for (pid, (pidfd, channel)) in processes {
        match pidfd {
            Some(pidfd) if has_ended(&pidfd) => drop(reap(pidfd.as_fd())),
            Some(pidfd) => drop(takeover.processes.insert(pid, Held { pidfd, channel })),
            None => {}
        }
    }
    takeover
}

type Loose = BTreeMap<u32, (Option<OwnedFd>, Option<UnixStream>)>;

impl Takeover {
    /// Puts each descriptor in its place; returns those of processes.
    fn sort(&mut self, named: Vec<(Role, OwnedFd)>) -> Loose {
        let mut processes = Loose::new();
        let mut region = None;
        let mut bells = Vec::new();
        for (role, descriptor) in named {
            match role {
                Role::Region => region = Some(descriptor),
                Role::Plan => self.note_plan(descriptor),
                Role::Front => self.note_front(descriptor),
                Role::SupervisorBell | Role::Bell(_) => bells.push((role, descriptor)),
                Role::Listener => self.listeners.push(descriptor.into()),
                Role::Health => self.health.push(descriptor.into()),
                Role::Api => self.api.push(descriptor),
                // Whoever asked for it has it already.
                Role::Control => {}
                // It runs by now.
                Role::Image => {}
                Role::Caller => self.caller = Some(descriptor.into()),
                Role::Process(pid) => processes.entry(pid).or_default().0 = Some(descriptor),
                Role::Channel(pid) => {
                    processes.entry(pid).or_default().1 = Some(descriptor.into());
                }
            }
        }
        self.region = region.and_then(|region| open(region, bells));
        processes
    }

    /// Keeps the newest plan.
    fn note_plan(&mut self, file: OwnedFd) {
        match Sealed::read(file) {
            Ok((_, plan)) => {
                let newest = self.plan.as_ref().map_or(0, |plan| plan.generation);
                if plan.generation > newest {
                    self.plan = Some(plan);
                }
            }
            // Of another version, perhaps. It only spares a look for the upstream.
            Err(error) => info!(%error, "the plan that was there cannot be used"),
        }
    }

    /// Keeps the one whose keys are the newest.
    fn note_front(&mut self, file: OwnedFd) {
        match SealedFront::read(file) {
            Ok((_, front)) => self.keep_newest(front),
            // Of another version, perhaps. It only spares clients a whole handshake.
            Err(error) => info!(%error, "the front door that was there cannot be used"),
        }
    }

    fn keep_newest(&mut self, front: Front) {
        let made_at = |front: &Front| front.ticket_keys.first().map(|key| key.made_at);
        if self
            .front
            .as_ref()
            .is_none_or(|kept| made_at(&front) > made_at(kept))
        {
            self.front = Some(front);
        }
    }

    /// How the predecessor's workers let clients in.
    pub(crate) fn take_front(&mut self) -> Option<Front> {
        self.front.take()
    }

    /// What the predecessor's workers act on.
    pub(crate) fn take_plan(&mut self) -> Option<Plan> {
        self.plan.take()
    }

    /// Takes what living workers have: the region of one, of one that accepts if there is such, and the sockets of all,
    /// for one may have more than another.
    fn take_from(&mut self, met: &[meet::Met], patience: Duration) {
        let sets = meet::ask_all(met, patience);
        if sets.is_empty() && !met.is_empty() {
            // They hold the sockets, and whoever knew whether they hang is gone.
            warn!(
                workers = met.len(),
                "no worker responds, they hang: killing them, to begin anew"
            );
            met.iter().for_each(meet::Met::kill);
        }
        let mut best_accepts = false;
        for named in sets {
            let mut theirs = Self::default();
            theirs.sort(named);
            let newest = self.plan.as_ref().map_or(0, |plan| plan.generation);
            if let Some(plan) = theirs.plan.take_if(|plan| plan.generation > newest) {
                self.plan = Some(plan);
            }
            if let Some(front) = theirs.front.take() {
                self.keep_newest(front);
            }
            let accepts = !theirs.listeners.is_empty();
            if theirs.region.is_some() && (self.region.is_none() || (accepts && !best_accepts)) {
                self.region = theirs.region;
                best_accepts = accepts;
            }
            for socket in theirs.listeners {
                let address = socket.local_addr().ok();
                let is_known = |one: &TcpListener| one.local_addr().ok() == address;
                if !self.listeners.iter().any(is_known) {
                    self.listeners.push(socket);
                }
            }
        }
    }

    /// The region with its bells, if `fits` says that it can be gone on with.
    pub(crate) fn take_region(
        &mut self,
        fits: impl FnOnce(&Region) -> Result<(), String>,
    ) -> Option<(Region, BellBoard)> {
        let (region, bells) = self.region.take()?;
        match fits(&region) {
            Ok(()) => Some((region, bells)),
            Err(reason) => {
                info!(
                    reason,
                    "the pool begins anew: the one that was there does not fit"
                );
                None
            }
        }
    }

    /// A socket that listens on `address` already; with port 0, on any port.
    pub(crate) fn take_listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take_socket(&mut self.listeners, address)
    }

    /// The sockets for clients that nobody has taken.
    pub(crate) fn listeners(&self) -> &[TcpListener] {
        &self.listeners
    }

    /// Takes those.
    pub(crate) fn take_listeners(&mut self) -> Vec<TcpListener> {
        std::mem::take(&mut self.listeners)
    }

    /// The same of the health endpoint.
    pub(crate) fn take_health(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take_socket(&mut self.health, address)
    }

    /// The same of the management API.
    pub(crate) fn take_api(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let sockets = std::mem::take(&mut self.api).into_iter();
        take_socket(&mut sockets.map(TcpListener::from).collect(), address)
    }

    /// The same where it listens on a Unix socket.
    pub(crate) fn take_api_at(&mut self, path: &Path) -> Option<OwnedFd> {
        let is_there = |socket: &OwnedFd| {
            let address = getsockname::<UnixAddr>(socket.as_raw_fd());
            address.is_ok_and(|address| address.path() == Some(path))
        };
        let at = self.api.iter().position(is_there)?;
        Some(self.api.swap_remove(at))
    }

    /// The workers that sit in `stock`'s seats. What belonged to those that died meanwhile is freed.
    pub(crate) fn adopt(&mut self, stock: &Stock) -> Found {
        let mut found = Found::default();
        for index in 0..stock.pool().seats.len() {
            let seat = SeatIndex::new(index);
            let word = stock.pool().seats[index].word();
            let is_vacant = word.pid == 0 && word.state == SeatState::Vacant;
            if is_vacant {
                continue;
            }
            match self.occupant(stock, seat, word) {
                Occupant::Lives(process) => found.workers.push((seat, word.epoch, process)),
                Occupant::Unseen(error) => error!(worker = %seat, pid = word.pid, %error,
                    "a worker lives that cannot be followed: its seat stays as it is"),
                Occupant::Gone(lock) => {
                    let freed = stock.reclaim(seat);
                    // Up to here nobody could have sat down there.
                    drop(lock);
                    found.leases_freed += freed.leases;
                    warn!(worker = %seat, pid = word.pid, leases = freed.leases,
                        "worker died without a supervisor: its leases are back");
                }
            }
        }
        // What stopped half-way without dying.
        stock.sweep();
        found
    }

    /// The process that sits in `seat`. Whether it lives says the lock on its seat, and nothing else: one that is stopped
    /// holds it, one that has ended does not.
    fn occupant(&mut self, stock: &Stock, seat: SeatIndex, word: SeatWord) -> Occupant {
        // Without a noted process no worker was ever told to begin.
        if word.pid == 0 || !word.is_filled() {
            return Occupant::Gone(stock.region().lock_seat(seat).ok().flatten());
        }
        if let Some(held) = self.processes.remove(&word.pid) {
            let process = WorkerProcess::adopted(word.pid, held.pidfd, held.channel);
            return Occupant::Lives(process);
        }
        let pidfd = open_pidfd(word.pid);
        // Afterwards: a lock that is held now was held when the descriptor was opened, by the process that is noted in
        // the seat, so the number was its own.
        match (stock.region().lock_seat(seat), pidfd) {
            (Ok(Some(lock)), pidfd) => {
                if let Ok(pidfd) = pidfd
                    && has_ended(&pidfd)
                {
                    // A child of this process's before the upgrade, perhaps.
                    reap(pidfd.as_fd());
                }
                Occupant::Gone(Some(lock))
            }
            (Ok(None), Ok(pidfd)) => {
                warn!(worker = %seat, pid = word.pid, "a living worker could not be met; it is taken over all the same");
                Occupant::Lives(WorkerProcess::adopted(word.pid, pidfd, None))
            }
            (Ok(None), Err(error)) | (Err(error), _) => Occupant::Unseen(error),
        }
    }

    /// Workers that sit on no seat of the region that is gone on with.
    pub(crate) fn take_former(&mut self) -> Vec<WorkerProcess> {
        std::mem::take(&mut self.processes)
            .into_iter()
            .map(|(pid, held)| WorkerProcess::adopted(pid, held.pidfd, held.channel))
            .collect()
    }
}

fn take_socket(sockets: &mut Vec<TcpListener>, address: SocketAddr) -> Option<TcpListener> {
    let matches = |socket: &TcpListener| {
        socket.local_addr().is_ok_and(|local| {
            local == address || (address.port() == 0 && local.ip() == address.ip())
        })
    };
    let at = sockets.iter().position(matches)?;
    // Those behind it keep their order: of several for port 0 each goes to its own place again.
    Some(sockets.remove(at))
}

fn open(region: OwnedFd, bells: Vec<(Role, OwnedFd)>) -> Option<(Region, BellBoard)> {
    let region = Region::open(region)
        .inspect_err(
            |error| info!(%error, "the pool begins anew: the one that was there cannot be used"),
        )
        .ok()?;
    let bells = bells_of(region.geometry().seats, bells);
    if bells.is_none() {
        warn!("the pool begins anew: bells are missing of the one that was there");
    }
    Some((region, bells?))
}

/// Whether the process of a pidfd has ended.
fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
