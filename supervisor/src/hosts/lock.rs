//! Whether anything of this host's earlier lives is still at work: a lock file that every worker inherits.
//!
//! Each supervisor holds a shared lock (fcntl(2), `F_OFD_SETLK`) on a description that it opened for itself, and all workers that it
//! starts inherit that description and never touch it. The kernel drops a lock when the last process that has it is gone, however it
//! ended. So whoever gets the lock for itself alone, for an instant, knows that all are.

use std::{
    fs::OpenOptions,
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// Its name in the state directory.
const NAME: &str = "hosts.lock";
/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("lock {path}")]
pub(crate) struct LockError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// This life's share of the lock. It outlives this: whoever was started inherits it.
#[derive(Debug)]
pub(crate) struct LifeLock {
    file: OwnedFd,
    path: PathBuf,
}

impl LifeLock {
    /// Takes a share of the lock in `directory`.
    ///
    /// # Errors
    /// If the file cannot be made, or the system has no locks left.
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(NAME);
        let file = open(&path).map_err(|source| LockError {
            path: path.clone(),
            source,
        })?;
        let lock = Self { file, path };
        // Another life that is about to find out whether it is alone has it for an instant only.
        while !lock.set(libc::F_RDLCK)? {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(lock)
    }

    /// Whether no other process has a share: all of earlier lives have ended.
    ///
    /// # Errors
    /// If the system has no locks left.
    pub(crate) fn is_alone(&self) -> Result<bool, LockError> {
        let is_alone = self.set(libc::F_WRLCK)?;
        if is_alone {
            self.set(libc::F_RDLCK)?;
        }
        Ok(is_alone)
    }

    /// The same description, for a worker to inherit.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    fn set(&self, kind: i32) -> Result<bool, LockError> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 1,
            // As the system demands for this kind of lock.
            l_pid: 0,
        };
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(LockError {
                path: self.path.clone(),
                source: errno.into(),
            }),
        }
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path).map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn whoever_was_started_by_an_earlier_life_is_seen_until_it_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let first = LifeLock::take(directory.path()).unwrap();
        assert!(first.is_alone().unwrap());
        let share = Stdio::from(first.share().unwrap());
        let mut child = Command::new("sleep")
            .arg("600")
            .stdin(share)
            .spawn()
            .unwrap();
        drop(first);
        let next = LifeLock::take(directory.path()).unwrap();
        assert!(!next.is_alone().unwrap(), "the child has inherited it");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(next.is_alone().unwrap());
        let another = LifeLock::take(directory.path()).unwrap();
        assert!(!next.is_alone().unwrap() && !another.is_alone().unwrap());
    }
}
