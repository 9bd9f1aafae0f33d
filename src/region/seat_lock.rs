//! Which seats have a living process: each worker holds a lock on the byte of the region's file that has its seat's
//! number.
//!
//! It is a lock of an open file description (fcntl(2), `F_OFD_SETLK`), on one that the worker opened for itself: those
//! that are inherited share their locks. The kernel drops it when the process has ended, and not before: a worker that is
//! stopped, or swapped out, holds it still. So nobody has to guess from a heartbeat whether a seat's worker lives.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use super::Region;
use crate::pool::SeatIndex;

/// The lock on a seat. It is held as long as this, and no copy of its descriptor, is open.
#[derive(Debug)]
pub struct SeatLock {
    _file: File,
}

impl Region {
    /// Locks `seat`; `None`: a living process holds it.
    ///
    /// # Errors
    /// If the region's file cannot be opened anew (`/proc` is not there), or the system has no locks left.
    pub fn lock_seat(&self, seat: SeatIndex) -> io::Result<Option<SeatLock>> {
        // Through /proc: a description of its own. A duplicate would share the locks of all who inherited it.
        let path = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: libc::off_t::try_from(seat.get()).map_err(io::Error::other)?,
            l_len: 1,
            // As the system demands for this kind of lock.
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => Ok(Some(SeatLock { _file: file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Geometry;

    fn region() -> Region {
        Region::create(Geometry {
            slots: 64,
            seats: 4,
            token_bytes: 64,
        })
        .unwrap()
    }

    #[test]
    fn a_seat_is_locked_once_and_free_again_when_its_lock_is_gone() {
        let region = region();
        let seat = SeatIndex::new(2);
        let held = region.lock_seat(seat).unwrap().expect("it is free");
        assert!(region.lock_seat(seat).unwrap().is_none());
        let neighbour = region.lock_seat(SeatIndex::new(3)).unwrap();
        assert!(neighbour.is_some(), "a lock is of one seat alone");
        drop(held);
        assert!(region.lock_seat(seat).unwrap().is_some());
    }

    #[test]
    fn one_mapping_sees_the_locks_of_another() {
        let region = region();
        let seat = SeatIndex::new(0);
        let _held = region.lock_seat(seat).unwrap().expect("it is free");
        let other = Region::open(region.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert!(other.lock_seat(seat).unwrap().is_none());
    }
}
