//! Over `exec`, into another executable in this one's place: numbers in one variable, `name:number,…`.

use std::{
    collections::HashSet,
    ffi::OsString,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{inherit::FIRST, names::Role};

/// The variable that names the descriptors inherited over `exec`.
pub const INHERITED_VARIABLE: &str = "TPP_INHERITED";

/// Whether this process was started in another supervisor's place.
#[must_use]
pub fn is_in_place() -> bool {
    std::env::var_os(INHERITED_VARIABLE).is_some()
}

/// Lets `descriptors` pass over `exec`, and returns the variable's value for the one who inherits them.
///
/// # Errors
/// If a descriptor cannot be kept open.
pub fn hand_over(descriptors: &[(Role, OwnedFd)]) -> nix::Result<OsString> {
    let mut entries = Vec::new();
    for (role, descriptor) in descriptors {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        entries.push(format!("{role}:{}", descriptor.as_raw_fd()));
    }
    Ok(entries.join(",").into())
}

/// The names and numbers that [`hand_over`] wrote. Whatever else stands there is left out.
pub(super) fn announced(variable: &str) -> Vec<(String, RawFd)> {
    let mut seen = HashSet::new();
    let entries = variable.split(',').filter_map(|entry| {
        let (name, number) = entry.split_once(':')?;
        let number: RawFd = number.parse().ok()?;
        let is_named_twice = number < FIRST || !seen.insert(number);
        (!is_named_twice).then(|| (name.to_owned(), number))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use crate::pool::SeatIndex;

    use super::*;

    #[test]
    fn what_is_handed_over_is_announced_and_stays_open() {
        let file = || OwnedFd::from(tempfile::tempfile().expect("a file"));
        let handed = [
            (Role::Region, file()),
            (Role::Bell(SeatIndex::new(7)), file()),
            (Role::Channel(4711), file()),
        ];
        let variable = hand_over(&handed).expect("open descriptors");
        let announced = announced(variable.to_str().expect("text"));
        let expected: Vec<_> = handed
            .iter()
            .map(|(role, fd)| (role.to_string(), fd.as_raw_fd()))
            .collect();
        assert_eq!(announced, expected);
        for (_, fd) in &handed {
            let flags = fcntl(fd, FcntlArg::F_GETFD).expect("it is open");
            assert!(!FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        }
    }

    #[test]
    fn what_is_named_twice_or_is_no_number_is_left_out() {
        assert_eq!(
            announced("region:9,bell:9,listen:2,health:x,control,,asker:12"),
            [("region".to_owned(), 9), ("asker".to_owned(), 12)]
        );
        assert_eq!(announced(""), []);
    }
}
