//! What a worker gets from its supervisor: arguments, and descriptors in a fixed order.
//!
//! ```text
//! 3        the region
//! 4        the channel: a stream socket whose other end the supervisor holds; its end says that the supervisor is gone
//! 5        the supervisor's bell
//! 6…       the seats' bells
//! 6+seats… the listening sockets
//! ```

use std::{
    ffi::OsString,
    io,
    os::fd::{OwnedFd, RawFd},
    path::PathBuf,
};

use crate::bells::BellBoard;

use super::inherit::{FIRST, once, take};

/// What the supervisor tells a worker on its command line.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
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
    /// Where a new supervisor can meet it: a path, to which it adds its process id
    #[arg(long)]
    pub meeting_prefix: PathBuf,
    /// Address of each listening socket handed down, in their order
    #[arg(long)]
    pub listen: Vec<String>,
}

impl WorkerArgs {
    /// The supervisor's side: what stands on the worker's command line.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let numbers = [
            ("--seat", self.seat.to_string()),
            ("--epoch", self.epoch.to_string()),
            ("--seats", self.seats.to_string()),
        ];
        let numbers = numbers
            .into_iter()
            .flat_map(|(flag, number)| [flag.into(), number.into()]);
        let place = [
            "--meeting-prefix".into(),
            self.meeting_prefix.clone().into(),
        ];
        let listen = self.listen.iter();
        let listen = listen.flat_map(|address| ["--listen".into(), address.into()]);
        numbers.chain(place).chain(listen).collect()
    }
}

/// What a worker gets from its supervisor.
#[derive(Debug)]
pub struct WorkerDescriptors {
    /// The region's memory file.
    pub region: OwnedFd,
    /// The channel to the supervisor.
    pub channel: OwnedFd,
    /// All bells.
    pub bells: BellBoard,
    /// The listening sockets, in the order of the addresses given on the command line.
    pub listeners: Vec<OwnedFd>,
}

impl WorkerDescriptors {
    /// Takes over what was inherited.
    ///
    /// # Errors
    /// If a descriptor is missing, or it was called before in this process.
    pub fn receive(seats: usize, listeners: usize) -> io::Result<Self> {
        once()?;
        let mut inherited = (FIRST..).map(take);
        let mut next = || inherited.next().expect("descriptor numbers do not run out");
        Self::in_order(&mut next, seats, listeners)
    }

    fn in_order(
        next: &mut impl FnMut() -> io::Result<OwnedFd>,
        seats: usize,
        listeners: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            region: next()?,
            channel: next()?,
            bells: {
                let supervisor = next()?;
                BellBoard::from_descriptors(
                    (0..seats).map(|_| next()).collect::<io::Result<_>>()?,
                    supervisor,
                )
            },
            listeners: (0..listeners).map(|_| next()).collect::<io::Result<_>>()?,
        })
    }

    /// The supervisor's side: each descriptor with its number in the worker.
    #[must_use]
    pub fn hand_down(self) -> Vec<(OwnedFd, RawFd)> {
        let (seats, supervisor) = self.bells.into_descriptors();
        [self.region, self.channel, supervisor]
            .into_iter()
            .chain(seats)
            .chain(self.listeners)
            .zip(FIRST..)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::{fd::AsFd, unix::fs::MetadataExt},
    };

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Worker {
        #[command(flatten)]
        args: WorkerArgs,
    }

    #[test]
    fn a_worker_reads_the_arguments_that_the_supervisor_wrote() {
        for listen in [vec![], vec!["0.0.0.0:80".to_owned(), "[::]:81".to_owned()]] {
            let args = WorkerArgs {
                seat: 3,
                epoch: 1 << 23,
                seats: 32,
                meeting_prefix: "/run/a b/-x.worker-".into(),
                listen,
            };
            let line = std::iter::once("tpp-worker".into()).chain(args.to_arguments());
            assert_eq!(
                Worker::try_parse_from(line).expect("its own words").args,
                args
            );
        }
    }

    #[test]
    fn descriptors_are_numbered_as_the_worker_counts_them() {
        let file = || OwnedFd::from(tempfile::tempfile().expect("a file"));
        let inode = |fd: &OwnedFd| {
            let fd = fd.as_fd().try_clone_to_owned().expect("a descriptor");
            File::from(fd).metadata().expect("its number").ino()
        };
        let (region, channel, supervisor) = (file(), file(), file());
        let seats = vec![file(), file()];
        let listeners = vec![file()];
        let ordered: Vec<_> = [&region, &channel, &supervisor]
            .into_iter()
            .chain(&seats)
            .chain(&listeners)
            .map(inode)
            .collect();
        let handed = WorkerDescriptors {
            region,
            channel,
            bells: BellBoard::from_descriptors(seats, supervisor),
            listeners,
        }
        .hand_down();
        let numbers: Vec<_> = handed.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
        let inodes: Vec<_> = handed.iter().map(|(fd, _)| inode(fd)).collect();
        assert_eq!(inodes, ordered);
        // The reader's half goes by their order alone.
        let mut incoming = handed.into_iter().map(|(fd, _)| Ok(fd));
        let received = WorkerDescriptors::in_order(&mut || incoming.next().expect("enough"), 2, 1)
            .expect("all are there");
        let again: Vec<_> = received
            .hand_down()
            .iter()
            .map(|(fd, _)| inode(fd))
            .collect();
        assert_eq!(again, ordered);
    }
}
