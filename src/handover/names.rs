//! The names of descriptors: each says what its descriptor is for, on every way by which they travel.

use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd},
    str::FromStr,
};

use crate::ids::SeatIndex;

/// What a descriptor is for. Its text form has no colon and no comma: systemd and the variable allow neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The region's memory file.
    Region,
    /// The plan in force, in its memory file ([`crate::plan::Sealed`]).
    Plan,
    /// The front door in force, in its memory file ([`crate::front::SealedFront`]).
    Front,
    /// The supervisor's bell.
    SupervisorBell,
    /// A seat's bell.
    Bell(SeatIndex),
    /// A socket that takes clients; it knows its own address.
    Listener,
    /// The health endpoint's socket.
    Health,
    /// The management API's socket.
    Api,
    /// The control socket.
    Control,
    /// A connection of `tppctl` that waits for the end of an upgrade.
    Caller,
    /// The executable's file, for a script's interpreter to open. Who runs it has no use for it.
    Image,
    /// A pidfd of the worker with this process id.
    Process(u32),
    /// The supervisor's end of the channel to the worker with this process id.
    Channel(u32),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region => f.write_str("region"),
            Self::Plan => f.write_str("plan"),
            Self::Front => f.write_str("front"),
            Self::SupervisorBell => f.write_str("bell"),
            Self::Bell(seat) => write!(f, "bell-{}", seat.get()),
            Self::Listener => f.write_str("listen"),
            Self::Health => f.write_str("health"),
            Self::Api => f.write_str("api"),
            Self::Control => f.write_str("control"),
            Self::Caller => f.write_str("asker"),
            Self::Image => f.write_str("image"),
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
                "plan" => Self::Plan,
                "front" => Self::Front,
                "bell" => Self::SupervisorBell,
                "listen" => Self::Listener,
                "health" => Self::Health,
                "api" => Self::Api,
                "control" => Self::Control,
                "asker" => Self::Caller,
                "image" => Self::Image,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_back_from_its_name() {
        let seat = SeatIndex::new(17);
        for role in [
            Role::Region,
            Role::Plan,
            Role::Front,
            Role::SupervisorBell,
            Role::Bell(seat),
            Role::Listener,
            Role::Health,
            Role::Api,
            Role::Control,
            Role::Caller,
            Role::Image,
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
}
