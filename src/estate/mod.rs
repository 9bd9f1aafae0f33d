//! What a supervisor leaves to the next one: descriptors, each with a name that says what it is for.
//!
//! The same names are used on all three ways by which they travel: over `exec` into a new executable, through
//! systemd's file descriptor store, and from a living worker over a socket ([`passing`]).

pub mod passing;

use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::ids::SeatIndex;

/// Version of the names and of what they stand for. A new executable that does not know it must not take over.
pub const ESTATE_FORMAT: u32 = 1;

/// The variable that names the descriptors inherited over `exec`: `name:number,…`.
pub const INHERITED_VARIABLE: &str = "TPP_INHERITED";

/// What the supervisor says to a worker over a channel, a byte each.
pub mod word {
    /// Begin: your seat is filled and your process noted. A worker whose channel ends before has never served.
    pub const GO: u8 = b'g';
    /// Send me your descriptors ([`super::passing`]).
    pub const ESTATE: u8 = b'e';
}

/// What a descriptor is for. Its text form has no colon and no comma: systemd and the variable allow neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The region's memory file.
    Region,
    /// The supervisor's bell.
    SupervisorBell,
    /// A seat's bell.
    Bell(SeatIndex),
    /// A socket that takes clients; it knows its own address.
    Listener,
    /// The health endpoint's socket.
    Health,
    /// The control socket.
    Control,
    /// A connection of `tppctl` that waits for the end of an upgrade.
    Asker,
    /// A pidfd of the worker with this process id.
    Process(u32),
    /// The supervisor's end of the channel to the worker with this process id.
    Channel(u32),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region => f.write_str("region"),
            Self::SupervisorBell => f.write_str("bell"),
            Self::Bell(seat) => write!(f, "bell-{}", seat.get()),
            Self::Listener => f.write_str("listen"),
            Self::Health => f.write_str("health"),
            Self::Control => f.write_str("control"),
            Self::Asker => f.write_str("asker"),
            Self::Process(pid) => write!(f, "process-{pid}"),
            Self::Channel(pid) => write!(f, "channel-{pid}"),
        }
    }
}

/// A name that stands for nothing we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no descriptor of tpp's")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        let unknown = || UnknownRole(name.to_owned());
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| unknown());
        Ok(match name.split_once('-') {
            None => match name {
                "region" => Self::Region,
                "bell" => Self::SupervisorBell,
                "listen" => Self::Listener,
                "health" => Self::Health,
                "control" => Self::Control,
                "asker" => Self::Asker,
                _ => return Err(unknown()),
            },
            Some(("bell", seat)) => {
                let seat = number(seat)? as usize;
                if seat >= SeatIndex::CAPACITY {
                    return Err(unknown());
                }
                Self::Bell(SeatIndex::new(seat))
            }
            Some(("process", pid)) => Self::Process(number(pid)?),
            Some(("channel", pid)) => Self::Channel(number(pid)?),
            Some(_) => return Err(unknown()),
        })
    }
}

/// The same descriptors under other numbers, for whoever outlives their owners.
///
/// # Errors
/// If the system has no descriptors left.
pub fn duplicate<'a>(
    descriptors: impl IntoIterator<Item = (Role, BorrowedFd<'a>)>,
) -> io::Result<Vec<(Role, OwnedFd)>> {
    let descriptors = descriptors.into_iter();
    descriptors
        .map(|(role, fd)| Ok((role, fd.try_clone_to_owned()?)))
        .collect()
}

/// Where the workers of the supervisor at `control_socket` can be met: the path, but for the process id at its end.
#[must_use]
pub fn meeting_prefix(control_socket: &Path) -> PathBuf {
    let mut prefix = control_socket.as_os_str().to_owned();
    prefix.push(".worker-");
    prefix.into()
}

/// Where the worker `pid` can be met.
#[must_use]
pub fn meeting_place(prefix: &Path, pid: u32) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(pid.to_string());
    path.into()
}

/// The meeting places that there are under `prefix`, of living workers and of dead ones.
///
/// # Errors
/// If the directory cannot be read.
pub fn meeting_places(prefix: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let (Some(directory), Some(name)) = (prefix.parent(), prefix.file_name()) else {
        return Ok(Vec::new());
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        let pid = entry
            .file_name()
            .to_str()
            .zip(name.to_str())
            .and_then(|(file, prefix)| file.strip_prefix(prefix)?.parse().ok());
        found.extend(pid.map(|pid| (pid, entry.path())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_back_from_its_name() {
        let seat = SeatIndex::new(17);
        for role in [
            Role::Region,
            Role::SupervisorBell,
            Role::Bell(seat),
            Role::Listener,
            Role::Health,
            Role::Control,
            Role::Asker,
            Role::Process(4711),
            Role::Channel(u32::MAX),
        ] {
            let name = role.to_string();
            assert_eq!(name.parse(), Ok(role), "{name}");
            assert!(!name.contains([':', ',']), "{name}");
        }
    }

    #[test]
    fn a_foreign_name_is_no_role() {
        for name in [
            "",
            "tpp.socket",
            "bell-",
            "bell-256",
            "bell--1",
            "process-x",
            "region-1",
        ] {
            assert!(name.parse::<Role>().is_err(), "{name}");
        }
    }

    #[test]
    fn meeting_places_are_found_by_their_name_alone() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = meeting_prefix(&directory.path().join("control.sock"));
        for name in [
            "control.sock",
            "control.sock.worker-",
            "control.sock.worker-12x",
            "other.sock.worker-3",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::write(meeting_place(&prefix, 12), "").unwrap();
        assert_eq!(
            meeting_places(&prefix).unwrap(),
            [(12, directory.path().join("control.sock.worker-12"))]
        );
    }
}
