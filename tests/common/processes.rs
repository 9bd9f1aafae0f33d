//! Processes as `/proc` shows them, and signals to them.

use std::{collections::HashSet, fs, io, net::SocketAddr};

use nix::{
    errno::Errno,
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::wait_until;

/// Sends a signal; a process that is gone already is none the worse for it.
pub(crate) fn send(pid: u32, signal: Signal) {
    match signal::kill(as_pid(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("send {signal} to process {pid}: {error}"),
    }
}

/// Stops a process, and returns when all of its threads stand. Who tells it meanwhile to go on is overruled.
pub(crate) fn stop(pid: u32) {
    wait_until("the process stands still", || {
        send(pid, Signal::SIGSTOP);
        threads(pid).all(|thread| matches!(state(thread), None | Some('T' | 'Z')))
    });
}

/// The threads of a process, which have states of their own.
fn threads(pid: u32) -> impl Iterator<Item = u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().filter_map(Result::ok);
    tasks.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The other ends' ports of the connections to `local` that a process holds.
pub(crate) fn peers_of(pid: u32, local: SocketAddr) -> HashSet<u16> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    let files = files.into_iter().flatten().filter_map(Result::ok);
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    let sockets: HashSet<String> = links
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("the system's connections");
    let peer = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = |column: &str| u16::from_str_radix(column.rsplit_once(':')?.1, 16).ok();
        let is_ours = port(columns.get(1)?)? == local.port() && sockets.contains(*columns.get(9)?);
        // A listening socket's peer has port 0.
        port(columns.get(2)?).filter(|&peer| is_ours && peer != 0)
    };
    table.lines().skip(1).filter_map(peer).collect()
}

/// True if the process exists and is not merely waited for.
pub(crate) fn is_alive(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// True if the process exists and is stopped.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// The letter that `ps` shows: R, S, D, T, Z.
fn state(pid: u32) -> Option<char> {
    stat_fields(pid)?.first()?.chars().next()
}

/// The fields of `/proc/PID/stat` after the name, which may hold spaces and brackets itself.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Every living process of a session.
pub(crate) fn in_session(session: u32) -> Vec<u32> {
    let session = session.to_string();
    let pids = fs::read_dir("/proc")
        .expect("read /proc")
        .filter_map(Result::ok);
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_session =
        |pid: &u32| stat_fields(*pid).is_some_and(|fields| fields.get(3) == Some(&session));
    pids.filter(of_session)
        .filter(|&pid| is_alive(pid))
        .collect()
}

/// A file of `/proc/PID` as text, NUL bytes turned to line ends.
pub(crate) fn proc_text(pid: u32, file: &str) -> io::Result<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}"))?;
    Ok(String::from_utf8_lossy(&bytes).replace('\0', "\n"))
}

/// A size from `/proc/PID/status`, such as `VmHWM`, in KiB.
pub(crate) fn memory_kib(pid: u32, name: &str) -> u64 {
    let status = proc_text(pid, "status").expect("read a process's status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    size.unwrap_or_else(|| panic!("no {name} in {status}"))
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id fits"))
}
