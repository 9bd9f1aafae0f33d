//! Children: those that this process started, and those that others left to it. As process 1 of a container, or as a
//! subreaper (prctl(2)), it inherits whatever loses its parent there, and has to take its end: nobody else can.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::{
        prctl,
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{Pid, getpid},
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

/// How often to look for ends. Until then a process that has ended is a line in the system's table, and no more.
const EVERY: Duration = Duration::from_secs(1);

/// Held while a child is made whose number nobody knows yet.
static STARTING: Mutex<()> = Mutex::new(());
/// Processes whose ends somebody here waits for.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// While it is held, the end of this process is left to whoever holds it.
#[derive(Debug)]
pub(crate) struct Own(u32);

impl Own {
    pub(crate) fn new(pid: u32) -> Self {
        own().insert(pid);
        Self(pid)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        own().remove(&self.0);
    }
}

/// Makes a child by `start`, which returns its [`Own`] with it.
pub(crate) fn start<T>(start: impl FnOnce() -> T) -> T {
    let _nobody_reaps = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    start()
}

/// Takes the ends of those that nobody here waits for, as long as the supervisor runs; if any come to it at all.
pub(crate) async fn reap_orphans() {
    let is_heir = getpid() == Pid::from_raw(1) || prctl::get_child_subreaper().unwrap_or(false);
    if !is_heir {
        return;
    }
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        while let Some(pid) = reap_one() {
            debug!(%pid, "the end of a process that lost its parent");
        }
    }
}

/// Takes one such end, if there is one to be seen.
fn reap_one() -> Option<Pid> {
    let _nobody_starts = STARTING.try_lock().ok()?;
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    let pid = waitid(Id::All, look | WaitPidFlag::WNOWAIT).ok()?.pid()?;
    // One of our own hides those behind it until its end is taken, which is soon.
    let is_own = own().contains(&pid.as_raw().unsigned_abs());
    if is_own {
        return None;
    }
    waitid(Id::Pid(pid), look).ok()?.pid()
}

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}
