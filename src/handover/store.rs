//! From systemd's descriptor store (sd_listen_fds(3), sd_pid_notify_with_fds(3)): numbers from 3 on, and names in a variable.

use std::os::fd::RawFd;

use super::{inherit::FIRST, names::Role};

/// What systemd tells a process about descriptors. A successor over `exec` is told otherwise and must not see it.
pub const TOLD_BY_SYSTEMD: [&str; 4] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// The name under which systemd keeps a descriptor, and later announces it.
#[must_use]
pub fn name(role: Role) -> String {
    role.to_string()
}

/// The names and numbers of what systemd kept for `own_pid`.
pub(super) fn announced(
    own_pid: u32,
    variable: impl Fn(&'static str) -> String,
) -> Vec<(String, RawFd)> {
    let [pid, count, names, _] = TOLD_BY_SYSTEMD;
    let meant_for_us = variable(pid).parse() == Ok(own_pid);
    let count = variable(count).parse().unwrap_or(0);
    let names = variable(names);
    let names = names.split(':').map(str::to_owned);
    names
        .zip(FIRST..)
        .take(if meant_for_us { count } else { 0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pid: &str, roles: &[Role]) -> Vec<(String, RawFd)> {
        let names: Vec<_> = roles.iter().map(|role| name(*role)).collect();
        announced(17, |variable| match variable {
            "LISTEN_PID" => pid.to_owned(),
            "LISTEN_FDS" => roles.len().to_string(),
            "LISTEN_FDNAMES" => names.join(":"),
            _ => String::new(),
        })
    }

    #[test]
    fn what_systemd_kept_comes_back_under_its_names() {
        let roles = [Role::Region, Role::Listener, Role::Process(12)];
        let back = told("17", &roles);
        let parsed: Vec<_> = back
            .iter()
            .map(|(name, number)| (name.parse().expect("one of ours"), *number))
            .collect();
        assert_eq!(parsed, [(roles[0], 3), (roles[1], 4), (roles[2], 5)]);
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        assert_eq!(told("18", &[Role::Region]), []);
        assert_eq!(told("", &[Role::Region]), []);
        assert_eq!(told("17", &[]), []);
    }
}
