//! Bells: one eventfd for each seat, and one for the supervisor. Every process holds them all.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::{
    errno::Errno,
    sys::eventfd::{EfdFlags, EventFd},
};

use crate::{ids::SeatIndex, pool::Bells};

/// The bells of all seats and the supervisor's.
#[derive(Debug)]
pub struct BellBoard {
    seats: Vec<OwnedFd>,
    supervisor: OwnedFd,
}

impl BellBoard {
    /// Bytes to read from a bell that rang.
    pub const RING_BYTES: usize = size_of::<u64>();

    /// New bells for `seats` seats.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn create(seats: usize) -> nix::Result<Self> {
        let bell = || {
            EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
                .map(OwnedFd::from)
        };
        Ok(Self {
            seats: (0..seats).map(|_| bell()).collect::<nix::Result<_>>()?,
            supervisor: bell()?,
        })
    }

    /// Bells that were inherited.
    #[must_use]
    pub fn from_descriptors(seats: Vec<OwnedFd>, supervisor: OwnedFd) -> Self {
        Self { seats, supervisor }
    }

    /// The descriptors: all seats' in their order, and the supervisor's.
    #[must_use]
    pub fn into_descriptors(self) -> (Vec<OwnedFd>, OwnedFd) {
        (self.seats, self.supervisor)
    }

    /// The bell of each seat, in their order.
    pub fn seats(&self) -> impl Iterator<Item = (SeatIndex, BorrowedFd<'_>)> {
        let seats = self.seats.iter().enumerate();
        seats.map(|(index, bell)| (SeatIndex::new(index), bell.as_fd()))
    }

    /// The same bells under other descriptors, to hand down.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let seats = self
            .seats
            .iter()
            .map(OwnedFd::try_clone)
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            seats,
            supervisor: self.supervisor.try_clone()?,
        })
    }

    /// The bell of `seat`, to wait for.
    #[must_use]
    pub fn seat(&self, seat: SeatIndex) -> BorrowedFd<'_> {
        self.seats[seat.get()].as_fd()
    }

    /// The supervisor's bell, to wait for.
    #[must_use]
    pub fn supervisor(&self) -> BorrowedFd<'_> {
        self.supervisor.as_fd()
    }

    /// Rings the supervisor's bell.
    pub fn ring_supervisor(&self) {
        ring(&self.supervisor);
    }

    /// Silences a bell: what rang before is answered by what the caller does next.
    pub fn silence(bell: BorrowedFd<'_>) {
        // A bell that nobody rang says EAGAIN, and that is as good.
        let _ = nix::unistd::read(bell, &mut [0; Self::RING_BYTES]);
    }
}

impl Bells for BellBoard {
    fn ring(&self, seat: SeatIndex) {
        ring(&self.seats[seat.get()]);
    }
}

fn ring(bell: &OwnedFd) {
    // EAGAIN: the counter is full, so the bell is ringing already. Nothing else can happen to an eventfd.
    while nix::unistd::write(bell, &1_u64.to_ne_bytes()) == Err(Errno::EINTR) {}
}
