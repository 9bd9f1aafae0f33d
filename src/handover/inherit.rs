//! From a number to a descriptor of our own: the only way in for what is inherited over `exec`.
#![expect(
    unsafe_code,
    reason = "takes inherited descriptor numbers into ownership; each block says why it may"
)]

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use nix::libc;

/// Number of the first inherited descriptor.
pub(super) const FIRST: RawFd = 3;

/// Makes sure that a process takes its inherited descriptors over once.
pub(super) fn once() -> io::Result<()> {
    static RECEIVED: AtomicBool = AtomicBool::new(false);
    // Relaxed: only the swap's own result counts.
    if RECEIVED.swap(true, Relaxed) {
        return Err(io::Error::other(
            "the inherited descriptors were taken over before",
        ));
    }
    Ok(())
}

/// Takes one inherited descriptor into ownership and closes it to programs that this one may start. To be called
/// after [`once`], once for each number, and before anything else is opened.
///
/// # Errors
/// If nothing is open under that number.
pub(super) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD reads and writes no memory of ours, and answers EBADF for a number under which nothing is open.
    let closed_on_exec = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if closed_on_exec == -1 {
        let error = io::Error::last_os_error();
        return Err(io::Error::new(
            error.kind(),
            format!("inherited descriptor {number}: {error}"),
        ));
    }
    // SAFETY: the descriptor is open (checked above) and nobody else owns it: it was inherited over exec. Our callers
    // (`worker` and `receive`) run once in a process, before anything else is opened. Both take each number once: the
    // first counts, the second goes by lists that `exec` and `store` keep free of repetitions.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_under_which_nothing_is_open_is_an_error_and_no_descriptor() {
        for number in [-1, RawFd::MAX] {
            let error = take(number).unwrap_err();
            let said = error.to_string();
            let begin = format!("inherited descriptor {number}: ");
            assert!(
                said.starts_with(&begin) && said.contains("EBADF") | said.contains("Bad file"),
                "{said}"
            );
        }
    }
}
