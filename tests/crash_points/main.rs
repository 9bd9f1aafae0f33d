//! Every crash point: a process is taken through each move of the pool one machine instruction at a time, and killed
//! after the first, the second, and so on to the last. After each death the seat is reclaimed, and all that
//! the pool promises must hold for a process that lives. At the same points another child is stopped and passed by:
//! it must keep nobody waiting; then it goes on, and must have done no harm.
//!
//! By default it is killed at each instruction after which the region is not as it was before, so in every state that
//! others can ever see, and at some instructions in between, evenly spread. `TPP_EVERY_CRASH_POINT=1` (`make
//! crash-points`) takes every single one, a greater number those of operations of at most so many instructions. Arguments
//! choose operations by a part of their name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod operation;
mod route;
mod rows;
mod scene;
mod traced;
#[path = "../common/worker_process.rs"]
mod worker_process;

use std::{
    collections::BTreeSet,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

use operation::Operation;
use route::{Landing, Place, landings};
use rows::Verdict;
use traced::{NotTraceable, Traced};
use worker_process::Part;

/// Points of an operation that are taken by default, spread evenly, besides each change of the region.
const SOME_POINTS: u64 = 40;
/// Violations that are told of one operation.
const MOST_TOLD: usize = 5;

fn main() -> ExitCode {
    if let Some(part) = Part::assigned() {
        let operation = Operation::named(&part.role).expect("an operation");
        operation.play(part);
    }
    let wanted: Vec<_> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let longest_whole = longest_whole();
    let operations: Vec<_> = Operation::ALL
        .into_iter()
        .filter(|one| wanted.is_empty() || wanted.iter().any(|word| one.name().contains(word)))
        .collect();
    let (mut passed, mut failed, mut points, mut strayed) = (0, 0, 0, 0);
    for operation in operations {
        let started = Instant::now();
        let outcome = match examine(operation, longest_whole) {
            Ok(outcome) => outcome,
            Err(NotTraceable) => {
                eprintln!(
                    "!!! CRASH POINTS NOT CHECKED: this system does not let a process trace its child \
                     (in a container, allow the ptrace system call)"
                );
                println!("test result: ok. 0 passed; 0 failed; 1 ignored");
                return ExitCode::SUCCESS;
            }
        };
        points += outcome.points;
        strayed += outcome.strayed;
        let verdict = if outcome.violations.is_empty() {
            passed += 1;
            "ok"
        } else {
            failed += 1;
            "VIOLATED"
        };
        println!(
            "{:<24} {:>6} instructions, {:>4} changes of the region; {:>6} points ({}): \
             {} violations, {:.1} s: {verdict}",
            operation.name(),
            outcome.instructions,
            outcome.changes,
            outcome.points,
            if outcome.stride == 1 {
                "all".to_owned()
            } else {
                format!("each change, every {}th", outcome.stride)
            },
            outcome.violations.len(),
            started.elapsed().as_secs_f64(),
        );
        for violation in outcome.violations.iter().take(MOST_TOLD) {
            println!("    {violation}");
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("{points} points; {strayed} children took another way than the first");
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(failed > 0))
}

/// What came of one operation.
struct Outcome {
    instructions: u64,
    changes: usize,
    stride: u64,
    points: usize,
    /// Ends that came elsewhere than where the first child stood after as many instructions.
    strayed: usize,
    violations: Vec<String>,
}

/// How long an operation may be of which every instruction is taken.
fn longest_whole() -> u64 {
    let asked = env::var("TPP_EVERY_CRASH_POINT").ok();
    match asked.map_or(0, |text| {
        text.parse().expect("a number of instructions, or 1")
    }) {
        1 => u64::MAX,
        instructions => instructions,
    }
}

fn examine(operation: Operation, longest_whole: u64) -> Result<Outcome, NotTraceable> {
    let walk = walk(operation)?;
    let stride = if walk.instructions <= longest_whole {
        1
    } else {
        walk.instructions.div_ceil(SOME_POINTS)
    };
    let mut points: BTreeSet<_> = (1..=walk.instructions).step_by(stride as usize).collect();
    points.extend(&walk.changes);
    points.insert(walk.instructions);
    let points: Vec<_> = points.into_iter().collect();
    let landings = landings(&walk.path);
    let (next, strayed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Tracing is a thread's own affair, so each thread has its own children.
    let worker = || {
        let mut violations = Vec::new();
        // Relaxed: it only shares out numbers.
        while let Some(&point) = points.get(next.fetch_add(1, Relaxed)) {
            let target = Target {
                point,
                landing: landings[point as usize],
                place: walk.path[point as usize],
                strayed: &strayed,
            };
            violations.extend(take(operation, target, End::Killed).err());
            if operation.leaves_others_free() {
                violations.extend(take(operation, target, End::Stopped).err());
            }
        }
        violations
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let violations = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("verdicts, not panics"))
            .collect()
    });
    Ok(Outcome {
        instructions: walk.instructions,
        changes: walk.changes.len(),
        stride,
        points: points.len(),
        strayed: strayed.into_inner(),
        violations,
    })
}

/// One operation from begin to end.
struct Walk {
    instructions: u64,
    /// After which instructions the region was not as before.
    changes: Vec<u64>,
    /// Where it stood after each.
    path: Vec<Place>,
}

fn walk(operation: Operation) -> Result<Walk, NotTraceable> {
    let mut scene = operation.before();
    let mut child = Traced::start(&scene.stock, operation.name(), scene.subject)?;
    operation.between(&mut scene);
    let mut before = scene.image();
    let (mut changes, mut path) = (Vec::new(), vec![child.place()]);
    while child.step() {
        path.push(child.place());
        let now = scene.image();
        if now != before {
            changes.push(child.done);
            before = now;
        }
    }
    Ok(Walk {
        instructions: child.done,
        changes,
        path,
    })
}

/// What befalls a process between two instructions.
#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    /// Stopped and passed by, continued later, and killed only when the operation is done.
    Stopped,
}

/// A point, and how to get there.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    point: u64,
    landing: Option<Landing>,
    place: Place,
    strayed: &'a AtomicUsize,
}

impl Target<'_> {
    /// Takes the child there; false if its operation ends before.
    fn reach(self, child: &mut Traced) -> bool {
        let stands_within =
            self.landing.is_none_or(|landing| child.land(landing)) && child.step_to(self.point);
        // Another way is a point as good, but one that this number did not stand for.
        if !stands_within || child.place() != self.place {
            self.strayed.fetch_add(1, Relaxed);
        }
        stands_within
    }
}

/// Takes a fresh child to its point; after its end, recovers and judges.
fn take(operation: Operation, target: Target<'_>, end: End) -> Verdict {
    let mut place = String::new();
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        let mut scene = operation.before();
        let mut child = Traced::start(&scene.stock, operation.name(), scene.subject)
            .map_err(|NotTraceable| "not traceable any more".to_owned())?;
        operation.between(&mut scene);
        let stands_within = target.reach(&mut child);
        place = child.address();
        if let End::Stopped = end {
            scene.stock.pass_by(scene.subject.0);
            scene.judge_while_it_stands()?;
            if stands_within {
                child.run_to_end();
            }
        }
        child.kill();
        operation.recover(&scene);
        if operation == Operation::PassBy {
            // Those behind are served although the one who was passed by still stands.
            scene.judge_while_it_stands()?;
            scene.stock.reclaim(scene.subject.0);
        }
        scene.judge()
    }));
    verdict
        .unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(text.unwrap_or("panicked").to_owned())
        })
        .map_err(|what| {
            format!(
                "{end:?} after instruction {} at {place}: {what}",
                target.point
            )
        })
}
