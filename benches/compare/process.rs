//! Programs under measurement: started, watched and stopped by process id.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, SigSet, Signal},
    unistd::Pid,
};

use crate::Result;

/// How long a program may take to answer, and to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(15);

/// Root processes now running, for the case that a person interrupts the run.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running program with all its descendants. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Processor time of each thread of a program, by (process, thread).
#[derive(Debug)]
pub(crate) struct CpuReading(BTreeMap<(i32, i32), Duration>);

/// What a program used between two readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuUse {
    /// Of all threads together.
    pub(crate) total: Duration,
    /// Share of the busiest thread, 0 to 1: near 1/n when n threads share the work evenly.
    pub(crate) busiest: f64,
}

/// Memory of one process.
#[derive(Debug)]
pub(crate) struct ProcessMemory {
    /// The kernel's name for it.
    pub(crate) name: String,
    /// Proportional set size: shared pages count by their share.
    pub(crate) pss_kib: u64,
}

impl Program {
    /// Starts `command`; what it prints goes to a file in `dir`.
    pub(crate) fn start(name: &'static str, mut command: Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = spawn(&mut command)?;
        Ok(Self { name, child, log })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// The program ended, or took too long; with the last of what it printed.
    pub(crate) fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "{} ended ({status}) before {what}:\n{}",
                    self.name,
                    self.printed()
                )
                .into());
            }
            if Instant::now() > deadline {
                return Err(
                    format!("{}: {what}: not in time:\n{}", self.name, self.printed()).into(),
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until `address` accepts connections.
    pub(crate) fn wait_for_listener(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until("it listens", || TcpStream::connect(address).is_ok())
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> Result<CpuReading> {
        let mut threads = BTreeMap::new();
        for process in self.processes()? {
            for task in fs::read_dir(format!("/proc/{process}/task"))? {
                let task: i32 = task?.file_name().to_string_lossy().parse()?;
                // First field: nanoseconds on a processor. /proc/PID/stat only counts ticks of 10 ms.
                let schedstat =
                    fs::read_to_string(format!("/proc/{process}/task/{task}/schedstat"))?;
                let nanoseconds = schedstat.split(' ').next().unwrap_or_default().parse()?;
                threads.insert((process, task), Duration::from_nanos(nanoseconds));
            }
        }
        Ok(CpuReading(threads))
    }

    /// Memory of each process, the root first.
    pub(crate) fn memory(&self) -> Result<Vec<ProcessMemory>> {
        self.processes()?.into_iter().map(memory_of).collect()
    }

    /// The root and all its descendants.
    fn processes(&self) -> Result<Vec<i32>> {
        let mut found = vec![pid_of(&self.child).as_raw()];
        let mut next = 0;
        while let Some(&process) = found.get(next) {
            for task in fs::read_dir(format!("/proc/{process}/task"))? {
                let children = fs::read_to_string(task?.path().join("children"))?;
                for child in children.split_whitespace() {
                    found.push(child.parse()?);
                }
            }
            next += 1;
        }
        Ok(found)
    }

    /// The last of what the program printed.
    fn printed(&self) -> String {
        const LENGTH: u64 = 4000;
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            let length = file.metadata().map_or(0, |data| data.len());
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(LENGTH)));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let descendants = self.processes().unwrap_or_default();
        let root = pid_of(&self.child);
        let _ = signal::kill(root, Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                for process in descendants {
                    let _ = signal::kill(Pid::from_raw(process), Signal::SIGKILL);
                }
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        running().retain(|pid| *pid != root);
    }
}

/// Runs `command` to its end: how it ended, and what it printed.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(command)?;
    let pid = pid_of(&child);
    let output = child.wait_with_output();
    running().retain(|running| *running != pid);
    Ok(output?)
}

fn spawn(command: &mut Command) -> Result<Child> {
    // A child inherits the signal mask, and must hear the signals that this program has set aside.
    SigSet::empty().thread_set_mask()?;
    let child = command.spawn();
    interrupts().thread_block()?;
    let child = child.map_err(|error| format!("start {:?}: {error}", command.get_program()))?;
    running().push(pid_of(&child));
    Ok(child)
}

impl CpuReading {
    /// What was used since `earlier`.
    ///
    /// # Errors
    /// A process came or went meanwhile, so that the two readings cannot be compared.
    pub(crate) fn since(&self, earlier: &Self) -> Result<CpuUse> {
        if !self.processes().eq(earlier.processes()) {
            return Err("a process ended or was started during a measurement".into());
        }
        let used = |(thread, time): (&(i32, i32), &Duration)| {
            time.saturating_sub(earlier.0.get(thread).copied().unwrap_or_default())
        };
        let total: Duration = self.0.iter().map(used).sum();
        let busiest = self.0.iter().map(used).max().unwrap_or_default();
        Ok(CpuUse {
            total,
            busiest: busiest.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE),
        })
    }

    fn processes(&self) -> impl Iterator<Item = i32> + '_ {
        let mut last = None;
        self.0
            .keys()
            .map(|(process, _)| *process)
            .filter(move |process| last.replace(*process) != Some(*process))
    }
}

/// From now on SIGINT and SIGTERM stop every running program and remove `dir` before this one ends.
pub(crate) fn stop_all_on_interrupt(dir: PathBuf) -> Result<()> {
    let signals = interrupts();
    signals.thread_block()?;
    thread::spawn(move || {
        let _ = signals.wait();
        for pid in running().iter() {
            let _ = signal::kill(*pid, Signal::SIGTERM);
        }
        let _ = fs::remove_dir_all(dir);
        #[expect(
            clippy::exit,
            reason = "the main thread may be in the middle of a round"
        )]
        std::process::exit(130);
    });
    Ok(())
}

fn interrupts() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals
}

fn running() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    RUNNING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits in 22 bits"))
}

fn memory_of(process: i32) -> Result<ProcessMemory> {
    let name = fs::read_to_string(format!("/proc/{process}/comm"))?
        .trim()
        .to_owned();
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let pss = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .ok_or("smaps_rollup without Pss")?;
    let pss_kib = pss.trim().trim_end_matches(" kB").parse()?;
    Ok(ProcessMemory { name, pss_kib })
}
