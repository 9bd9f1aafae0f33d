//! A save that is killed before and after each of its system calls.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{self, Child, Command, Stdio},
};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, gettid},
};

use super::{Store, tests::saved};

/// Tells the process that is killed where to save.
const DIRECTORY: &str = "TPP_TEST_SAVE_IN";
/// Said by that process at the begin of the save. It is never delivered: the tracer sees it first.
const BEGIN: Signal = Signal::SIGUSR1;
/// The revision that is there before the save that is killed.
const BEFORE: u64 = 1;

#[test]
#[ignore = "it is the process that another test kills"]
fn a_process_that_saves_when_told_to() {
    let directory = env::var_os(DIRECTORY).expect("where to save");
    // A line of its own, whatever the harness has said on it.
    println!("\nthread {}", gettid());
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).unwrap();
    // Here the save begins: where the thread was when it was traced is not the same each time.
    raise(BEGIN).unwrap();
    Store::new(Path::new(&directory))
        .save(&saved(BEFORE + 1))
        .unwrap();
    // The end of the save is the end of the process: what a thread does when it ends is of no interest.
    process::abort();
}

/// Starts that process; the thread in it that saves.
fn start(directory: &Path) -> (Child, Pid) {
    let name = "desired::store::killed::a_process_that_saves_when_told_to";
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let thread = said
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("thread ")?.parse().ok())
        .expect("it says its number");
    (child, Pid::from_raw(thread))
}

/// Kills a save at its `stops`th stop: the begin or the end of a system call. False: it ended before that.
fn kill_at(stops: usize, directory: &Path) -> bool {
    let (mut child, thread) = start(directory);
    ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD)
        .expect("a child of ours may be traced");
    ptrace::interrupt(thread).unwrap();
    child.stdin.take().unwrap().write_all(b"save\n").unwrap();
    let mut seen = None;
    let is_cut = loop {
        // A thread of another process is waited for by its own number only.
        match waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap() {
            WaitStatus::Stopped(_, BEGIN) => seen = Some(0),
            WaitStatus::PtraceSyscall(_) if seen == Some(stops) => break true,
            WaitStatus::PtraceSyscall(_) => seen = seen.map(|seen| seen + 1),
            WaitStatus::Stopped(_, Signal::SIGABRT)
            | WaitStatus::Exited(..)
            | WaitStatus::Signaled(..) => break false,
            _ => {}
        }
        ptrace::syscall(thread, None).unwrap();
    };
    // It may have ended by itself.
    let _ = child.kill();
    // The process is not over before its tracer has seen the thread's end.
    while !matches!(
        waitpid(thread, Some(WaitPidFlag::__WALL)),
        Err(_) | Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
    ) {}
    child.wait().unwrap();
    is_cut
}

#[test]
fn a_save_killed_between_any_two_system_calls_is_there_whole_or_not_at_all() {
    let mut kept = Vec::new();
    for stops in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        store.save(&saved(BEFORE)).unwrap();
        let is_cut = kill_at(stops, directory.path());
        let found = store.load().unwrap().expect("one of both");
        assert!(
            [saved(BEFORE), saved(BEFORE + 1)].contains(&found),
            "killed at stop {stops}: {found:?}"
        );
        kept.push(found.revision);
        // Whoever comes next can save.
        store.save(&saved(BEFORE + 2)).unwrap();
        assert_eq!(store.load().unwrap(), Some(saved(BEFORE + 2)));
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "killed at stop {stops}: something is left behind");
        if !is_cut {
            break;
        }
    }
    assert!(kept.is_sorted(), "a save that was there is gone: {kept:?}");
    assert_eq!(kept.first(), Some(&BEFORE));
    assert_eq!(kept.last(), Some(&(BEFORE + 1)));
    // Open, write, sync and rename, and the same of the directory, each with two stops.
    assert!(kept.len() > 12, "only {} stops were seen", kept.len());
}
