//! What a lease costs: `try_lease` and release on one region, in nanoseconds, by one process alone and by
//! several at once. Run by `cargo bench --bench pool`.
//!
//! Each contender is a process of its own with a seat of its own. They begin together, at a word of the
//! parent's, and each measures itself. With more processes than processors the time a process does not
//! run is in the wall clock, so the processor time is shown beside it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::fd::{AsFd, AsRawFd},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tpp::{
    bells::BellBoard,
    lending::{Desk, Stock},
    pool::{Epoch, Origin, SeatIndex, SlotIndex},
    region::{Geometry, Region},
};

const SLOTS: usize = 200;
const ROUNDS: u32 = 2_000_000;
const CONTENDERS: [usize; 4] = [1, 2, 4, 8];
const ROLE: &str = "TPP_BENCH_POOL_CONTENDER";

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        return contend(&role);
    }
    println!("try_lease + release, {SLOTS} slots, {ROUNDS} rounds a process");
    println!(
        "{:>9}  {:>14}  {:>14}  {:>16}",
        "processes", "wall ns/lease", "cpu ns/lease", "leases/s in all"
    );
    for processes in CONTENDERS {
        measure(processes);
    }
}

/// Times of one contender, summed over its rounds.
struct Times {
    wall: Duration,
    cpu: Duration,
}

fn measure(processes: usize) {
    let geometry = Geometry {
        slots: SLOTS,
        seats: processes,
        token_bytes: 4096,
    };
    let region = Arc::new(Region::create(geometry).expect("a region"));
    region.set_slots_used(SLOTS);
    let stock = Stock::new(
        Arc::clone(&region),
        BellBoard::create(processes).expect("bells"),
    );
    for slot in 0..SLOTS {
        stock
            .install(SlotIndex::new(slot), b"token", Origin::NONE)
            .expect("it fits");
    }
    let mut children: Vec<_> = (0..processes)
        .map(|_| {
            let (seat, epoch) = stock.fill_seat(0).expect("a seat for each");
            Contender::start(&region, seat, epoch)
        })
        .collect();
    for child in &mut children {
        assert_eq!(child.next_line(), "ready");
    }
    for child in &mut children {
        child.go();
    }
    let times: Vec<_> = children.into_iter().map(Contender::finish).collect();
    let census = stock.pool().census();
    assert_eq!(
        (census.in_use, census.available),
        (0, SLOTS as u64),
        "all slots are back"
    );
    let rounds = f64::from(ROUNDS);
    let mean = |of: fn(&Times) -> Duration| {
        times.iter().map(|time| of(time).as_secs_f64()).sum::<f64>() / processes as f64
    };
    let (wall, cpu) = (mean(|times| times.wall), mean(|times| times.cpu));
    println!(
        "{processes:>9}  {:>14.1}  {:>14.1}  {:>16.0}",
        wall / rounds * 1e9,
        cpu / rounds * 1e9,
        rounds * processes as f64 / wall,
    );
}

/// A process that contends, as its parent sees it.
struct Contender {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Contender {
    fn start(region: &Region, seat: SeatIndex, epoch: Epoch) -> Self {
        // Opened by the child through our own table: nothing need be inherited.
        let path = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            region.as_fd().as_raw_fd()
        );
        let mut process = Command::new(std::env::current_exe().expect("our own path"))
            .env(ROLE, format!("{path} {seat} {epoch}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a contender");
        let said = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, said }
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.said
            .read_line(&mut line)
            .expect("the contender speaks");
        line.trim_end().to_owned()
    }

    fn go(&mut self) {
        let mut stdin = self.process.stdin.take().expect("piped, and told once");
        stdin.write_all(b"go").expect("the contender listens");
    }

    fn finish(mut self) -> Times {
        let line = self.next_line();
        let mut nanos = line
            .split(' ')
            .map(|number| Duration::from_nanos(number.parse().expect("nanoseconds")));
        let mut next = || nanos.next().expect("two numbers");
        let times = Times {
            wall: next(),
            cpu: next(),
        };
        assert!(self.process.wait().expect("our child").success());
        times
    }
}

/// A contender's life.
fn contend(role: &str) {
    let mut words = role.split(' ');
    let mut next = || words.next().expect("path, seat, epoch");
    let file = File::options()
        .read(true)
        .write(true)
        .open(next())
        .expect("the region's file");
    let region = Arc::new(Region::open(file.into()).expect("the region"));
    let seat = SeatIndex::new(next().parse().expect("a seat"));
    let epoch = Epoch::new(next().parse().expect("an epoch"));
    let bells = BellBoard::create(region.geometry().seats).expect("bells");
    let desk = Desk::new(region, bells, seat, epoch);
    println!("ready");
    std::io::stdin()
        .read_exact(&mut [0; 2])
        .expect("the word to go");
    let (wall, cpu) = (Instant::now(), cpu_time());
    for _ in 0..ROUNDS {
        drop(std::hint::black_box(desk.try_lease().expect("a free slot")));
    }
    println!(
        "{} {}",
        wall.elapsed().as_nanos(),
        (cpu_time() - cpu).as_nanos()
    );
}

fn cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    Duration::from(nix::time::clock_gettime(clock).expect("Linux has it"))
}
