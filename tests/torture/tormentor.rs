//! The parent: a supervisor that kills and stops its workers, and counts what should never be.

use std::{
    fmt, fs,
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tpp::lending::{Desk, RowKeys, Stock};
use tpp::pool::{Census, Epoch, Origin, SeatIndex, SlotIndex};

use crate::{
    ADMITTED, AGE, BREAKER, LOCKS, PERMITS, POLICY, PROBES, RATE, ROW, ROWS, SLOTS, WORKERS,
    dice::Dice,
    victim::lock_file,
    worker_process::{WorkerProcess, stocked},
};

/// How long the wild time between two calm ones lasts.
const WILD: Duration = Duration::from_millis(700);
/// Time within which a calm pool must have come to rest; only a stranded waiter or a lost slot takes as long.
const COMES_TO_REST: Duration = Duration::from_secs(30);
/// Between two torments.
const PAUSE: Duration = Duration::from_millis(8);

/// What a run has shown.
#[derive(Debug, Default)]
pub(crate) struct Report {
    seconds: u64,
    leases: u64,
    kills: u64,
    stops: u64,
    passed_by: u64,
    refreshes: u64,
    calms: u64,
    /// Workers that found a second holder, or ended in another way than by our hand.
    violations: u64,
    /// Slots or waiters that did not come to rest.
    leaks: u64,
}

impl Report {
    /// Whether nothing happened that must not.
    pub(crate) fn is_sound(&self) -> bool {
        self.violations == 0 && self.leaks == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "torture: {} s, {WORKERS} processes on {SLOTS} slots, {PERMITS} permits and {PROBES} probes: {} leases, {} kills, {} stops, {} passed by, \
             {} refreshes, {} times all at rest; {} violations, {} leaks",
            self.seconds,
            self.leases,
            self.kills,
            self.stops,
            self.passed_by,
            self.refreshes,
            self.calms,
            self.violations,
            self.leaks
        )
    }
}

struct Worker {
    seat: SeatIndex,
    process: WorkerProcess,
    stopped: bool,
}

impl Worker {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.child.id().cast_signed());
        kill(pid, signal).expect("a child of ours");
    }
}

pub(crate) struct Tormentor {
    stock: Stock,
    limit: Stock,
    /// Leases whatever is free when all is calm.
    observer: Arc<Desk>,
    observer_of_limit: Arc<Desk>,
    workers: Vec<Worker>,
    locks: TempDir,
    dice: Dice,
    /// The seed of the next worker.
    next_seed: u64,
    report: Report,
    begun: Instant,
}

impl Tormentor {
    pub(crate) fn new(seed: u64) -> Self {
        let stock = stocked(SLOTS, WORKERS + 1);
        let limit = stock.add_limit(0, PERMITS).expect("room");
        stock.region().add_rows(ROWS).expect("room");
        let keys = RowKeys {
            hosts: vec![1],
            ..RowKeys::default()
        };
        stock.give_rows(1, &keys).expect("rows");
        let (seat, epoch) = stock.fill_seat(0).expect("a vacant seat");
        let bells = stock.bells().try_clone().expect("bells");
        let observer = Desk::new(Arc::clone(stock.region()), bells, seat, epoch);
        let mut tormentor = Self {
            stock,
            observer_of_limit: observer.open(limit.pool_id()).expect("it is there"),
            limit,
            observer,
            workers: Vec::new(),
            locks: TempDir::new().expect("a directory"),
            dice: Dice::new(seed),
            next_seed: seed.wrapping_mul(1_000_000),
            report: Report::default(),
            begun: Instant::now(),
        };
        for _ in 0..WORKERS {
            let worker = tormentor.hire();
            tormentor.workers.push(worker);
        }
        tormentor
    }

    fn hire(&mut self) -> Worker {
        self.next_seed += 1;
        let (seat, epoch): (_, Epoch) = self.stock.fill_seat(0).expect("a vacant seat");
        let variables = [(LOCKS, self.locks.path().as_os_str())];
        let seed = self.next_seed.to_string();
        let process = WorkerProcess::start(&self.stock, &seed, (seat, epoch), &variables);
        Worker {
            seat,
            process: process.expect("a child"),
            stopped: false,
        }
    }

    /// Torments for `time`.
    pub(crate) fn run(mut self, time: Duration) -> Report {
        let end = Instant::now() + time;
        while Instant::now() < end && self.report.is_sound() {
            let wild_until = Instant::now() + WILD;
            while Instant::now() < wild_until {
                self.torment();
                thread::sleep(PAUSE);
            }
            self.calm_down();
        }
        self.report.seconds = time.as_secs();
        self.report.leases = self.stock.totals().acquisitions;
        self.report
    }

    fn torment(&mut self) {
        let which = self.dice.below(WORKERS);
        // A sweep also mends what nobody should have left. Every second wild time goes without.
        let sweeps = self.report.calms % 2 == 1;
        match self.dice.below(12) {
            0..2 => self.replace(which),
            2..4 if !self.workers[which].stopped => {
                self.workers[which].signal(Signal::SIGSTOP);
                self.workers[which].stopped = true;
                self.report.stops += 1;
            }
            4 if sweeps => {
                // Whether it stands or not: it may be seen as standing while it only waits for a processor.
                self.stock.pass_by(self.workers[which].seat);
                self.report.passed_by += 1;
            }
            5 if sweeps => self.stock.sweep(),
            6 => self.refresh(),
            _ => self.go_on(which),
        }
    }

    fn go_on(&mut self, which: usize) {
        if std::mem::take(&mut self.workers[which].stopped) {
            self.workers[which].signal(Signal::SIGCONT);
        }
    }

    /// Kills a worker, takes back what it held, and starts another in its place.
    fn replace(&mut self, which: usize) {
        let worker = &mut self.workers[which];
        let ended_before = worker.process.child.try_wait().expect("a child of ours");
        if let Some(status) = ended_before {
            println!("VIOLATION: a worker ended by itself: {status}");
            self.report.violations += 1;
        }
        worker.process.end();
        self.report.kills += 1;
        let seat = worker.seat;
        self.stock.reclaim(seat);
        self.workers[which] = self.hire();
    }

    /// Takes a slot out of use and puts it back with another token, as a login does after a refusal.
    fn refresh(&mut self) {
        let slots: [usize; SLOTS] = std::array::from_fn(|slot| slot);
        let slot = SlotIndex::new(*self.dice.pick(&slots));
        if self.dice.one_in(2) {
            self.stock.take_out_of_use(slot);
        }
        self.stock
            .install(slot, b"another token", Origin::NONE)
            .expect("it fits");
        self.report.refreshes += 1;
    }

    /// All workers give back what they hold and wait for nothing but their bells: everybody in line must be served.
    fn calm_down(&mut self) {
        (0..WORKERS).for_each(|which| self.go_on(which));
        self.publish();
        let deadline = Instant::now() + COMES_TO_REST;
        while !at_rest(&self.stock.pool().census(), SLOTS)
            || !at_rest(&self.limit.pool().census(), PERMITS)
            || self.stock.host_totals(ROW).in_flight > 0
            || self.held(SLOTS + PERMITS..SLOTS + PERMITS + PROBES) > 0
        {
            if Instant::now() > deadline {
                self.tell_of_a_leak();
                return;
            }
            thread::sleep(PAUSE);
        }
        let leases: Vec<_> = std::iter::from_fn(|| self.observer.try_lease()).collect();
        if leases.len() != SLOTS {
            println!("LEAK: {} of {SLOTS} slots can be leased", leases.len());
            self.report.leaks += (SLOTS - leases.len()) as u64;
        }
        let permits: Vec<_> = std::iter::from_fn(|| self.observer_of_limit.try_lease()).collect();
        if permits.len() != PERMITS {
            println!("LEAK: {} of {PERMITS} permits are there", permits.len());
            self.report.leaks += (PERMITS - permits.len()) as u64;
        }
        let held = self.held(0..SLOTS + PERMITS);
        if held > 0 {
            println!("VIOLATION: {held} free slots are still held");
            self.report.violations += held as u64;
        }
        drop((leases, permits));
        self.judge_the_rate();
        self.judge_the_breaker();
        for worker in &mut self.workers {
            if let Some(status) = worker.process.child.try_wait().expect("a child of ours") {
                println!("VIOLATION: a worker ended by itself: {status}");
                self.report.violations += 1;
            }
        }
        self.report.calms += 1;
        self.publish();
    }

    /// How many of these locks somebody has.
    fn held(&self, locks: Range<usize>) -> usize {
        let locked = |lock: &usize| lock_file(self.locks.path(), *lock).try_lock().is_err();
        locks.filter(locked).count()
    }

    /// Whatever became of its probes, somebody is let through when its time has come.
    fn judge_the_breaker(&mut self) {
        let now = self.observer.plan_generation() * AGE;
        if self.observer.ask(BREAKER, POLICY.rules, now).is_err() {
            println!("VIOLATION: the breaker lets nobody through any more");
            self.report.violations += 1;
        }
    }

    /// No more was admitted than a bucket of that burst gives in the time since the begin; an eviction forgets a burst at most.
    fn judge_the_rate(&mut self) {
        let path = self.locks.path().join(ADMITTED);
        let admitted = fs::metadata(path).map_or(0, |file| file.len());
        let (requests, _, burst) = RATE;
        let evicted = self
            .stock
            .region()
            .rates()
            .map_or(0, |table| table.evictions());
        let paid_off = self.begun.elapsed().as_secs_f64() * requests as f64;
        let most = paid_off.ceil() as u64 + burst * (1 + evicted);
        if admitted > most {
            println!("VIOLATION: {admitted} admitted, {most} at most");
            self.report.violations += 1;
        }
    }

    /// Odd generations of the plan mean calm.
    fn publish(&self) {
        let generation = self.stock.next_plan_generation();
        self.stock.put_plan_in_force(generation);
        for worker in &self.workers {
            tpp::pool::Bells::ring(self.stock.bells(), worker.seat);
        }
    }

    fn tell_of_a_leak(&mut self) {
        let pool = self.stock.pool();
        println!("LEAK: not at rest: {:?}", pool.census());
        println!("    the limit: {:?}", self.limit.pool().census());
        for slot in 0..SLOTS {
            println!("    slot {slot}: {:?}", pool.slot_state(slot));
        }
        for (index, seat) in pool.seats.iter().enumerate() {
            println!(
                "    seat {index}: {:?}, {} waiting",
                seat.word(),
                pool.lines[index].waiting()
            );
        }
        self.report.leaks += 1;
    }
}

fn at_rest(census: &Census, slots: usize) -> bool {
    (
        census.available,
        census.in_use,
        census.retiring,
        census.waiting,
    ) == (slots as u64, 0, 0, 0)
}
