//! What is done when: all of it from the seed.

use std::{
    collections::BTreeMap,
    env, fmt, thread,
    time::{Duration, Instant},
};

use crate::{
    common::dice::Dice,
    crowd::Crowd,
    faults::{FAULTS, Fault},
    quiet,
    scene::Scene,
};

/// Faults between two quiet times.
const FAULTS_AT_A_STRETCH: usize = 30;
/// Longest time between two faults, milliseconds.
const LONGEST_PAUSE_MS: usize = 400;
/// How often what is due is put right.
const STEP: Duration = Duration::from_millis(20);

/// The decisions, and what came of them.
#[derive(Debug)]
pub(crate) struct Schedule {
    dice: Dice,
    /// Faults that are decided on like the others, and not carried out.
    left_out: Vec<String>,
    done: BTreeMap<&'static str, u64>,
    quiet_times: u64,
}

/// One decision: how long to wait, what to do then, and its details.
struct Decision {
    pause: Duration,
    name: &'static str,
    fault: Fault,
    details: (usize, usize),
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            left_out: env::var("TPP_CHAOS_WITHOUT")
                .map(|names| names.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            done: BTreeMap::new(),
            quiet_times: 0,
        }
    }

    /// Torments for `time`, in stretches that each end in a quiet time.
    ///
    /// # Panics
    /// At the first thing that is not as it must be.
    pub(crate) fn run(&mut self, scene: &mut Scene, crowd: &Crowd, time: Duration) {
        let end = Instant::now() + time;
        loop {
            for _ in 0..FAULTS_AT_A_STRETCH {
                let decision = self.decide();
                if Instant::now() < end {
                    self.carry_out(&decision, scene);
                }
            }
            scene.heal();
            let paused = crowd.pause().unwrap_or_else(|stuck| {
                panic!(
                    "clients that nothing hinders any more:\n{}",
                    stuck.join("\n")
                )
            });
            scene.note("quiet");
            quiet::check(scene, crowd);
            self.quiet_times += 1;
            if Instant::now() >= end {
                return;
            }
            drop(paused);
        }
    }

    /// Draws as many numbers whatever is decided and whatever came of it: so that a seed means the same decisions.
    fn decide(&mut self) -> Decision {
        let pause = self.dice.below(LONGEST_PAUSE_MS + 1) as u64;
        let (name, fault) = self.pick();
        Decision {
            pause: Duration::from_millis(pause),
            name,
            fault,
            details: (self.dice.below(1000), self.dice.below(1000)),
        }
    }

    fn pick(&mut self) -> (&'static str, Fault) {
        let all = FAULTS.iter().map(|(_, times, _)| times).sum();
        let mut which = self.dice.below(all);
        for &(name, times, fault) in &FAULTS {
            match which.checked_sub(times) {
                Some(rest) => which = rest,
                None => return (name, fault),
            }
        }
        unreachable!("it is below the sum")
    }

    fn carry_out(&mut self, decision: &Decision, scene: &mut Scene) {
        let due = Instant::now() + decision.pause;
        while Instant::now() < due {
            thread::sleep(STEP.min(due.saturating_duration_since(Instant::now())));
            scene.right_what_is_due();
        }
        let (first, second) = decision.details;
        if self.left_out.iter().any(|name| name == decision.name) {
            return;
        }
        scene.note(format!("{} ({first}, {second})", decision.name));
        if (decision.fault)(scene, first, second) {
            *self.done.entry(decision.name).or_default() += 1;
        } else {
            scene.note("not now");
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.done.values().sum();
        write!(
            f,
            "{faults} faults {:?}, {} quiet times",
            self.done, self.quiet_times
        )
    }
}
