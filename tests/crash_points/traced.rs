//! A child that is taken through an operation one machine instruction at a time.

use std::{ffi::c_void, process::exit, ptr::without_provenance_mut};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tpp::lending::Stock;
use tpp::pool::{Epoch, SeatIndex};

use crate::{
    route::{Landing, Place},
    worker_process::WorkerProcess,
};

/// Ends the operation. It is never delivered: the tracer sees it first.
const END: Signal = Signal::SIGUSR1;
/// Exit code of a child that may not be traced.
const NOT_TRACEABLE: i32 = 77;

/// Runs `operate` under the eyes of the parent: stopped before it, stopped after it.
pub(crate) fn show<T>(operate: impl FnOnce() -> T) -> ! {
    if let Err(errno) = ptrace::traceme() {
        eprintln!("PTRACE_TRACEME: {errno}");
        leave(NOT_TRACEABLE);
    }
    raise(Signal::SIGSTOP).expect("a signal to ourselves");
    let result = operate();
    raise(END).expect("a signal to ourselves");
    // Whatever the operation yielded is held up to the end.
    drop(result);
    leave(0)
}

#[expect(clippy::exit, reason = "the child's whole life is one function")]
fn leave(code: i32) -> ! {
    exit(code)
}

/// Why a child cannot be shown.
#[derive(Debug)]
pub(crate) struct NotTraceable;

/// A traced child, stopped.
pub(crate) struct Traced {
    pid: Pid,
    process: WorkerProcess,
    /// Where the program's file lies in its memory: begin, end.
    program: (u64, u64),
    /// Instructions done since the operation began.
    pub(crate) done: u64,
}

/// The instruction that a breakpoint is, in the lowest byte of a word.
const BREAKPOINT: i64 = 0xcc;

impl Traced {
    /// Starts a child and takes it to the begin of its operation. Only the calling thread may step it.
    pub(crate) fn start(
        stock: &Stock,
        role: &str,
        seat: (SeatIndex, Epoch),
    ) -> Result<Self, NotTraceable> {
        let process = WorkerProcess::start(stock, role, seat, &[]).expect("a child");
        let pid = Pid::from_raw(process.child.id().cast_signed());
        match waitpid(pid, None).expect("our own child") {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            WaitStatus::Exited(_, NOT_TRACEABLE) => return Err(NotTraceable),
            other => panic!("{role}: the child did not reach its operation: {other:?}"),
        }
        if ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL).is_err() {
            return Err(NotTraceable);
        }
        Ok(Self {
            pid,
            process,
            program: program_of(pid),
            done: 0,
        })
    }

    /// Where in the program's file it stands.
    pub(crate) fn place(&self) -> Place {
        let (begin, end) = self.program;
        let rip = self.registers().rip;
        (begin..end).contains(&rip).then(|| rip - begin)
    }

    fn registers(&self) -> nix::libc::user_regs_struct {
        ptrace::getregs(self.pid).expect("a stopped child of ours")
    }

    /// Lets it run to a place on the way. False: it does not come by there so often.
    pub(crate) fn land(&mut self, landing: Landing) -> bool {
        let address = self.program.0 + landing.place;
        for hit in 1..=landing.hits {
            // Away from the place, on which it stands since the last hit.
            if hit > 1 && !self.step() {
                return false;
            }
            if !self.run_to(address) {
                return false;
            }
        }
        self.done = landing.done;
        true
    }

    /// Lets it run until it is about to do the instruction at `address`. False at the operation's end.
    fn run_to(&mut self, address: u64) -> bool {
        let at = without_provenance_mut::<c_void>(usize::try_from(address).expect("an address"));
        let word = ptrace::read(self.pid, at).expect("the program's own text");
        ptrace::write(self.pid, at, word & !0xff | BREAKPOINT).expect("a private mapping");
        ptrace::cont(self.pid, None).expect("a stopped child of ours");
        let has_hit = match waitpid(self.pid, None).expect("our own child") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => true,
            WaitStatus::Stopped(_, END) => false,
            other => panic!("on the way to {address:#x}: {other:?}"),
        };
        ptrace::write(self.pid, at, word).expect("a private mapping");
        if has_hit {
            let mut registers = self.registers();
            registers.rip = address;
            ptrace::setregs(self.pid, registers).expect("a stopped child of ours");
        }
        has_hit
    }

    /// Does one instruction. False at the operation's end.
    pub(crate) fn step(&mut self) -> bool {
        ptrace::step(self.pid, None).expect("a stopped child of ours");
        match waitpid(self.pid, None).expect("our own child") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                self.done += 1;
                true
            }
            WaitStatus::Stopped(_, END) => false,
            other => panic!("after {} instructions: {other:?}", self.done),
        }
    }

    /// Does instructions until `count` are done; false if the operation ended before.
    pub(crate) fn step_to(&mut self, count: u64) -> bool {
        while self.done < count {
            if !self.step() {
                return false;
            }
        }
        true
    }

    /// Runs to the operation's end at full speed.
    pub(crate) fn run_to_end(&mut self) {
        ptrace::cont(self.pid, None).expect("a stopped child of ours");
        match waitpid(self.pid, None).expect("our own child") {
            WaitStatus::Stopped(_, END) => {}
            other => panic!("after {} instructions: {other:?}", self.done),
        }
    }

    /// Where in the program file it stands, for `addr2line`.
    pub(crate) fn address(&self) -> String {
        let rip = self.registers().rip;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        maps.lines()
            .find_map(|line| place_in_file(line, rip))
            .unwrap_or_else(|| format!("{rip:#x}"))
    }

    /// Kills it where it stands and waits for its end.
    pub(crate) fn kill(mut self) {
        self.process.end();
    }
}

/// Where the program's file lies in the memory of a child that runs the same program as we do.
fn program_of(pid: Pid) -> (u64, u64) {
    let own = std::env::current_exe().expect("our own program");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("our own child");
    let ours = maps
        .lines()
        .filter(|line| line.ends_with(own.to_str().expect("a path in UTF-8")));
    let ranges: Vec<_> = ours
        .filter_map(|line| {
            let (from, to) = line.split_whitespace().next()?.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).ok();
            Some((hex(from)?, hex(to)?))
        })
        .collect();
    match (ranges.first(), ranges.last()) {
        (Some((begin, _)), Some((_, end))) => (*begin, *end),
        _ => (0, 0),
    }
}

/// `rip` as file and address in it, if it lies in the mapping that `line` of `/proc/PID/maps` describes.
fn place_in_file(line: &str, rip: u64) -> Option<String> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (from, to) = (hex(from)?, hex(to)?);
    let offset = hex(words.nth(1)?)?;
    let file = words.nth(2).unwrap_or("no file");
    let name = file.rsplit('/').next().unwrap_or(file);
    (from..to)
        .contains(&rip)
        .then(|| format!("{name} file offset {:#x}", rip - from + offset))
}
