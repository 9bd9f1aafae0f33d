//! How much of a table was ever written: to read what was not would make its memory.

use std::io;

use nix::{
    errno::Errno,
    unistd::{Whence, lseek},
};

use super::{Region, directory::Span, mapping::Shared};

/// How many rows of each table there may be something in, from the first on. Those behind them are nobody's, and have no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenRows {
    /// Hosts.
    pub hosts: usize,
    /// Backends.
    pub backends: usize,
    /// What each host uses.
    pub pairs: usize,
    /// Groups.
    pub groups: usize,
}

impl Region {
    /// How many elements of `span` there may be something in, as far as the system can tell.
    pub(super) fn written<T: Shared>(&self, span: Span<T>) -> usize {
        let (begin, size) = (span.offset(), size_of::<T>());
        let end = begin + span.count() * size;
        let last = self.end_of_data(begin, end).unwrap_or(end);
        (last - begin).div_ceil(size)
    }

    /// Where the last memory between `begin` and `end` ends; `begin`: there is none.
    fn end_of_data(&self, begin: usize, end: usize) -> io::Result<usize> {
        let (mut at, mut last) = (begin, begin);
        while at < end {
            // What is moved is a position that nobody reads by.
            let data = match self.seek(at, Whence::SeekData) {
                Ok(data) => data,
                // All is a hole to the file's end.
                Err(Errno::ENXIO) => break,
                Err(error) => return Err(error.into()),
            };
            if data >= end {
                break;
            }
            at = self.seek(data, Whence::SeekHole)?;
            last = at.min(end);
        }
        Ok(last)
    }

    fn seek(&self, at: usize, whence: Whence) -> nix::Result<usize> {
        let at = i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?;
        let found = lseek(&self.file, at, whence)?;
        usize::try_from(found).map_err(|_| Errno::EOVERFLOW)
    }
}
