//! Processes of this very test program that play workers or supervisors on a region of the parent's.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command},
    sync::Arc,
};

use command_fds::{CommandFdExt, FdMapping};
use tpp::{
    bells::BellBoard,
    handover::WorkerDescriptors,
    lending::{Desk, Stock},
    pool::{Epoch, Origin, SeatIndex, SlotIndex},
    region::{Geometry, Region},
};

/// Tells a started program that it is a child, and which.
const ROLE: &str = "TPP_TEST_ROLE";

/// Bytes for one more pool, a small one.
const ROOM: usize = 64 * 1024;

/// A region of `slots` stocked slots and `seats` vacant seats.
pub(crate) fn stocked(slots: usize, seats: usize) -> Stock {
    let geometry = Geometry {
        slots,
        seats,
        token_bytes: 64,
    };
    let region = Arc::new(Region::with_room(geometry, ROOM).expect("a region"));
    region.set_slots_used(slots);
    let stock = Stock::new(region, BellBoard::create(seats).expect("bells"));
    for slot in 0..slots {
        stock
            .install(SlotIndex::new(slot), b"token", Origin::NONE)
            .expect("it fits");
    }
    stock
}

/// A child that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) child: Child,
    /// The child sees its other end close should we be killed.
    _channel: UnixStream,
}

impl WorkerProcess {
    /// Starts `role`, a single word, for `seat`, with further `variables`. It inherits what a worker does.
    pub(crate) fn start(
        stock: &Stock,
        role: &str,
        (seat, epoch): (SeatIndex, Epoch),
        variables: &[(&str, &OsStr)],
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let handover = WorkerDescriptors {
            region: stock.region().as_fd().try_clone_to_owned()?,
            channel: OwnedFd::from(theirs),
            bells: stock.bells().try_clone()?,
            listeners: Vec::new(),
        };
        let mappings = handover
            .hand_down()
            .into_iter()
            .map(|(parent_fd, child_fd)| FdMapping {
                parent_fd,
                child_fd,
            })
            .collect();
        let seats = stock.pool().seats.len();
        let child = Command::new(env::current_exe()?)
            .env(ROLE, format!("{role} {seats} {seat} {epoch}"))
            .envs(variables.iter().copied())
            .fd_mappings(mappings)
            .map_err(io::Error::other)?
            .spawn()?;
        Ok(Self {
            child,
            _channel: ours,
        })
    }

    /// Kills it where it stands and waits for its end.
    pub(crate) fn end(&mut self) {
        // It may have ended long since.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a child was started with.
pub(crate) struct Part {
    pub(crate) role: String,
    pub(crate) region: Arc<Region>,
    pub(crate) bells: BellBoard,
    pub(crate) channel: UnixStream,
    pub(crate) seat: SeatIndex,
    pub(crate) epoch: Epoch,
}

impl Part {
    /// What this process is to play; `None`: it is nobody's child.
    pub(crate) fn assigned() -> Option<Self> {
        let text = env::var(ROLE).ok()?;
        let mut words = text.split(' ');
        let mut next = || words.next().expect("role, seats, seat, epoch");
        let role = next().to_owned();
        let mut number = || next().parse().expect("a number");
        let (seats, seat, epoch) = (number(), number(), number());
        let handover = WorkerDescriptors::receive(seats, 0).expect("what a worker inherits");
        Some(Self {
            role,
            region: Arc::new(Region::open(handover.region).expect("the region")),
            bells: handover.bells,
            channel: UnixStream::from(handover.channel),
            seat: SeatIndex::new(seat),
            epoch: Epoch::new(epoch as u64),
        })
    }

    /// Sits down as a worker. The channel's end says that the parent is gone.
    pub(crate) fn sit_down(self) -> (Arc<Desk>, UnixStream) {
        let desk = Desk::new(self.region, self.bells, self.seat, self.epoch);
        desk.set_ready();
        (desk, self.channel)
    }
}
