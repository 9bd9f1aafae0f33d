//! A worker that does all a worker can do with the pool, at random.

use std::{
    env,
    fs::{File, TryLockError},
    io::Write as _,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tpp::{
    clock::monotonic_nanos,
    ids::PoolId,
    lending::{Asked, Desk, Entered, Lease, Waiting},
    limits::{Quota, TableQuota},
};

use crate::{
    ADMITTED, AGE, BREAKER, LOCKS, PERMITS, POLICY, PROBES, RATE, ROW, SLOTS, dice::Dice,
    worker_process::Part,
};

/// Exit code of one who found another holder of its slot.
pub(crate) const SECOND_HOLDER: u8 = 42;
/// Most who wait in one worker.
const MOST_WAITING: usize = 6;
/// Longest time without a heartbeat, milliseconds.
const BEAT_MS: u16 = 50;

/// The child's life: ends only with the parent, or on a violation.
pub(crate) fn live(part: Part) -> ExitCode {
    let seed = part.role.parse().expect("a seed");
    let locks = env::var_os(LOCKS).expect("the lock files' directory");
    let admitted = File::options()
        .append(true)
        .create(true)
        .open(Path::new(&locks).join(ADMITTED));
    let locks = (0..SLOTS + PERMITS + PROBES).map(|slot| lock_file(Path::new(&locks), slot));
    let (desk, channel) = part.sit_down();
    let limit = desk.open(PoolId::new(1)).expect("the limit");
    let mut victim = Victim {
        desk,
        limit,
        channel,
        dice: Dice::new(seed),
        locks: locks.collect(),
        held: Vec::new(),
        line: Vec::new(),
        entered: Vec::new(),
        probes: Vec::new(),
        admitted: admitted.expect("a file"),
    };
    loop {
        match victim.act() {
            Ok(true) => {}
            Ok(false) => return ExitCode::SUCCESS,
            Err(SecondHolder(slot)) => {
                eprintln!("VIOLATION: slot {slot} has a second holder");
                return ExitCode::from(SECOND_HOLDER);
            }
        }
    }
}

/// The file whose lock the holder of `slot` has.
pub(crate) fn lock_file(directory: &Path, slot: usize) -> File {
    let path = directory.join(slot.to_string());
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    options.expect("a lock file")
}

struct SecondHolder(usize);

struct Victim {
    desk: Arc<Desk>,
    limit: Arc<Desk>,
    channel: UnixStream,
    dice: Dice,
    locks: Vec<File>,
    /// Leases, each with the number of its lock.
    held: Vec<(usize, Lease)>,
    /// Places in line, each with the first lock of its pool.
    line: Vec<(usize, Waiting)>,
    /// Requests under way.
    entered: Vec<Entered>,
    /// Probes under way, each with the number of its lock.
    probes: Vec<(usize, Asked)>,
    admitted: File,
}

impl Victim {
    /// One act. False: the parent is gone.
    fn act(&mut self) -> Result<bool, SecondHolder> {
        // Odd: all are to be calm.
        let generation = self.desk.plan_generation();
        let calm = generation % 2 == 1;
        let idle = if calm {
            while let Some(probe) = self.probes.pop() {
                self.end_probe(probe);
            }
            self.entered.clear();
            while !self.held.is_empty() {
                self.release(0);
            }
            true
        } else {
            self.act_wildly()?;
            self.ask_the_breaker(generation * AGE)?;
            self.dice.one_in(200)
        };
        if !idle {
            return Ok(true);
        }
        self.desk.heartbeat();
        // A heartbeat of one that was passed by may have yielded something.
        let served = self.take_what_was_granted()?;
        Ok(served || self.wait_for_the_bell()?)
    }

    /// Takes from the rate; what it got is written down afterwards, so that never more is written than was got.
    fn ask_the_rate(&mut self) {
        let (requests, time, burst) = RATE;
        let quota = TableQuota::new(Quota::new(requests, time, burst).expect("a quota"));
        let table = self.desk.rates().expect("a table");
        if table.admit(quota, (1, b"key"), monotonic_nanos()).is_ok() {
            self.admitted.write_all(b"1").expect("room on the disk");
        }
        // Others come and go in the same set.
        let other = [self.dice.below(6) as u8];
        let _ = table.admit(quota, (2, &other), monotonic_nanos());
    }

    /// Begins or ends a probe. Leave that is none is of a closed breaker, which is opened.
    fn ask_the_breaker(&mut self, now: u64) -> Result<(), SecondHolder> {
        match self.dice.below(200) {
            0..50 if self.probes.len() < PROBES => {
                let Ok(asked) = self.desk.ask(BREAKER, POLICY.rules, now) else {
                    return Ok(());
                };
                if !asked.is_probe() {
                    asked.tell(true, POLICY, now);
                    return Ok(());
                }
                let is_ours = |lock: &usize| self.probes.iter().any(|(own, _)| own == lock);
                let first = SLOTS + PERMITS;
                let mut free = (first..first + PROBES).filter(|lock| !is_ours(lock));
                let lock = free.find(|lock| self.locks[*lock].try_lock().is_ok());
                self.probes.push((lock.ok_or(SecondHolder(first))?, asked));
            }
            50..100 if !self.probes.is_empty() => {
                let probe = self.probes.remove(0);
                self.end_probe(probe);
            }
            // Rarely: it closes or opens the breaker for all.
            100 if !self.probes.is_empty() => {
                let (lock, asked) = self.probes.remove(0);
                self.locks[lock].unlock().expect("our own lock");
                asked.tell(self.dice.one_in(2), POLICY, now);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_probe(&self, (lock, asked): (usize, Asked)) {
        self.locks[lock].unlock().expect("our own lock");
        drop(asked);
    }

    fn act_wildly(&mut self) -> Result<(), SecondHolder> {
        match self.dice.below(4) {
            0 if self.entered.len() < MOST_WAITING => self.entered.push(self.desk.enter(ROW)),
            1 => drop(self.entered.pop()),
            2 => self.ask_the_rate(),
            _ => {}
        }
        let (desk, first) = if self.dice.one_in(3) {
            (&self.limit, SLOTS)
        } else {
            (&self.desk, 0)
        };
        match self.dice.below(10) {
            0..3 => {
                if let Some(lease) = desk.try_lease() {
                    self.hold(first, lease)?;
                }
            }
            3..6 if !self.held.is_empty() => {
                let which = self.dice.below(self.held.len());
                self.release(which);
            }
            6..8 if self.line.len() < MOST_WAITING => {
                self.line.push((first, desk.join()));
                self.take_what_was_granted()?;
            }
            8 if !self.line.is_empty() => {
                let which = self.dice.below(self.line.len());
                drop(self.line.remove(which));
            }
            _ => {
                self.take_what_was_granted()?;
            }
        }
        Ok(())
    }

    /// Waits for the bell or until the next beat is due. False: the parent is gone.
    fn wait_for_the_bell(&mut self) -> Result<bool, SecondHolder> {
        let (bell, channel) = (self.desk.bell(), self.channel.as_fd());
        let mut ready = [bell, channel].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // A signal may cut it short, and that is as good.
        let _ = poll(&mut ready, PollTimeout::from(BEAT_MS));
        let [rang, ended] = ready.map(|fd| fd.any().unwrap_or(false));
        if rang {
            self.desk.answer_bell();
            self.take_what_was_granted()?;
        }
        Ok(!ended)
    }

    fn take_what_was_granted(&mut self) -> Result<bool, SecondHolder> {
        let mut leases = Vec::new();
        self.line
            .retain_mut(|(first, waiting)| match look(waiting) {
                Some(lease) => {
                    leases.push((*first, lease));
                    false
                }
                None => true,
            });
        let any = !leases.is_empty();
        let mut leases = leases.into_iter();
        leases.try_for_each(|(first, lease)| self.hold(first, lease))?;
        Ok(any)
    }

    fn hold(&mut self, first: usize, lease: Lease) -> Result<(), SecondHolder> {
        let slot = first + lease.slot().get();
        // Our own lock would not keep ourselves out.
        if self.held.iter().any(|(held, _)| *held == slot) {
            return Err(SecondHolder(slot));
        }
        match self.locks[slot].try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SecondHolder(slot)),
            Err(TryLockError::Error(error)) => panic!("lock slot {slot}: {error}"),
        }
        self.held.push((slot, lease));
        Ok(())
    }

    fn release(&mut self, which: usize) {
        let (slot, lease) = self.held.swap_remove(which);
        let unlocked = self.locks[slot].unlock();
        unlocked.expect("our own lock");
        drop(lease);
    }
}

fn look(waiting: &mut Waiting) -> Option<Lease> {
    match pin!(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(lease) => Some(lease),
        Poll::Pending => None,
    }
}
