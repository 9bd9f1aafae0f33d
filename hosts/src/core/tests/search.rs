//! A search of all that can happen in a small world, within budgets: depth first, every state once.
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::{Late, STEP, World};
use crate::engine::Outcome;
use crate::event::{Command, Event};
use crate::order::Refusal;

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The next request and its answer arrive.
    Serve,
    /// It is lost; its host is told that nobody knows.
    LoseRequest,
    /// It is committed, its answer lost.
    LoseAnswer,
    /// It is on its way; its host waits for the answer, or has given up.
    Delay {
        given_up: bool,
    },
    /// It is committed, the answer is on its way.
    DelayAnswer,
    /// It arrives, and does so once more.
    Double,
    /// What is late arrives at last.
    Arrive(usize),
    Advance {
        backwards: bool,
    },
    /// A supervisor stands still, and goes on.
    Stop(usize),
    Resume(usize),
    /// All of a host ends, and begins again.
    Kill(usize),
    Start(usize),
    /// A supervisor ends, and another goes on in its region.
    Succeed(usize),
    /// A watch tells nothing, and tells again.
    Deafen(usize),
    Hear(usize),
    /// Everybody at a host holds a session, and others wait; or nobody does.
    Crowd(usize),
    Empty(usize),
    Leave(usize),
    /// It stays after all.
    Stay(usize),
    /// The store is what it was.
    Restore,
}

/// How much may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Steps of time.
    pub(crate) steps: u32,
    /// Messages that go wrong.
    pub(crate) faults: u32,
    /// Processes that stop, end or go deaf.
    pub(crate) deaths: u32,
    /// Changes of demand.
    pub(crate) demands: u32,
    pub(crate) leaves: u32,
    pub(crate) restores: u32,
}

/// What a search saw.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) wrong: Option<(String, Vec<Action>)>,
}

pub(crate) fn search(world: World, budget: Budget) -> Found {
    let mut seen: HashSet<u64> = HashSet::new();
    let mut path: Vec<Action> = Vec::new();
    let mut stack = vec![(world, budget, None::<Action>, 0)];
    while let Some((world, budget, action, depth)) = stack.pop() {
        path.truncate(depth);
        path.extend(action);
        if let Some(wrong) = world.wrong.clone() {
            return Found {
                states: seen.len(),
                wrong: Some((wrong, path)),
            };
        }
        if !seen.insert(fingerprint(&world, &budget)) {
            continue;
        }
        for (action, left) in actions(&world, budget) {
            let mut next = world.clone();
            apply(&mut next, action);
            if left.faults == 0 {
                // All messages arrive: there is one way for it to go on.
                next.settle();
            }
            stack.push((next, left, Some(action), path.len()));
        }
    }
    Found {
        states: seen.len(),
        wrong: None,
    }
}

fn fingerprint(world: &World, budget: &Budget) -> u64 {
    let mut hasher = DefaultHasher::new();
    (world, budget).hash(&mut hasher);
    hasher.finish()
}

fn actions(world: &World, budget: Budget) -> Vec<(Action, Budget)> {
    let mut actions = Vec::new();
    let faulty = (budget.faults > 0).then(|| Budget {
        faults: budget.faults - 1,
        ..budget
    });
    if let Some(request) = world.fresh.front() {
        actions.push((Action::Serve, budget));
        // A listing that goes wrong is asked for again; what a lost listing costs is what a deaf watch costs.
        if let (Some(left), Some(_)) = (faulty, &request.transaction) {
            let faults = [
                Action::LoseRequest,
                Action::LoseAnswer,
                Action::Delay { given_up: true },
                Action::Delay { given_up: false },
                Action::DelayAnswer,
                Action::Double,
            ];
            actions.extend(faults.map(|fault| (fault, left)));
        }
        return actions;
    }
    if budget.steps > 0 {
        let left = Budget {
            steps: budget.steps - 1,
            ..budget
        };
        actions.push((Action::Advance { backwards: false }, left));
        if let Some(faulty) = faulty {
            actions.push((
                Action::Advance { backwards: true },
                Budget {
                    steps: left.steps,
                    ..faulty
                },
            ));
        }
    }
    actions.extend((0..world.late.len()).map(|late| (Action::Arrive(late), budget)));
    if budget.restores > 0 && world.backup.is_some() {
        actions.push((
            Action::Restore,
            Budget {
                restores: budget.restores - 1,
                ..budget
            },
        ));
    }
    for index in 0..world.hosts.len() {
        of_host(world, index, budget, &mut actions);
    }
    actions
}

fn of_host(world: &World, index: usize, budget: Budget, actions: &mut Vec<(Action, Budget)>) {
    let host = &world.hosts[index];
    let dying = (budget.deaths > 0).then(|| Budget {
        deaths: budget.deaths - 1,
        ..budget
    });
    if host.core.is_none() {
        // One that is shut out for its format would be so again.
        if !matches!(host.refused, Some(Refusal::Format { .. })) {
            actions.push((Action::Start(index), budget));
        }
        return;
    }
    if host.deaf {
        actions.push((Action::Hear(index), budget));
    }
    if host.stopped {
        actions.push((Action::Resume(index), budget));
    } else if let Some(left) = dying {
        actions.extend([Action::Stop(index), Action::Succeed(index)].map(|action| (action, left)));
        if !host.deaf {
            actions.push((Action::Deafen(index), left));
        }
    }
    if let Some(left) = dying {
        actions.push((Action::Kill(index), left));
    }
    if budget.demands > 0 {
        let action = if host.waiting > 0 {
            Action::Empty(index)
        } else {
            Action::Crowd(index)
        };
        actions.push((
            action,
            Budget {
                demands: budget.demands - 1,
                ..budget
            },
        ));
    }
    if budget.leaves > 0 && !host.left {
        let leaves = host.core.as_ref().is_some_and(|core| core.leaving);
        let action = match leaves {
            true if host.stopped => return,
            true => Action::Stay(index),
            false => Action::Leave(index),
        };
        actions.push((
            action,
            Budget {
                leaves: budget.leaves - 1,
                ..budget
            },
        ));
    }
}

pub(crate) fn apply(world: &mut World, action: Action) {
    match action {
        Action::Serve => drop(world.serve()),
        Action::LoseRequest
        | Action::LoseAnswer
        | Action::Delay { .. }
        | Action::DelayAnswer
        | Action::Double => go_wrong(world, action),
        Action::Arrive(late) => arrive(world, late),
        Action::Advance { backwards } => world.advance(STEP, backwards),
        Action::Stop(index) => world.hosts[index].stopped = true,
        Action::Resume(index) => world.resume(index),
        Action::Kill(index) => world.hosts[index].kill(),
        Action::Start(index) | Action::Succeed(index) => world.start(index),
        Action::Deafen(index) => world.hosts[index].deaf = true,
        Action::Hear(index) => {
            world.hosts[index].deaf = false;
            world.spread();
        }
        Action::Crowd(index) | Action::Empty(index) => {
            crowd(world, index, action == Action::Crowd(index))
        }
        Action::Leave(index) => {
            let process = world.hosts[index].process;
            world.tell(index, process, Event::Leave);
        }
        Action::Stay(index) => {
            let stays = world.command(index, Command::Stay);
            assert_eq!(stays, Ok(()), "it leaves");
        }
        Action::Restore => {
            world.store = world
                .backup
                .clone()
                .expect("only what was saved is restored");
            for host in &mut world.hosts {
                host.watch = host.watch.map(|_| world.store.header().revision + 1);
            }
        }
    }
    // A host that left, and whose process ended.
    for host in &mut world.hosts {
        if host.left || host.refused.is_some() {
            host.kill();
        }
    }
}

pub(crate) fn crowd(world: &mut World, index: usize, crowded: bool) {
    let host = &mut world.hosts[index];
    host.waiting = u32::from(crowded);
    host.oldest_ms = if crowded { 5_000 } else { 0 };
    host.slots
        .values_mut()
        .for_each(|slot| slot.busy = crowded && !slot.withdrawn);
}

fn go_wrong(world: &mut World, fault: Action) {
    let request = world.fresh.pop_front().expect("only what left goes wrong");
    let unknown = Some(Outcome::Ambiguous);
    match fault {
        Action::LoseRequest => world.answer(request, unknown),
        Action::LoseAnswer => {
            world.commit(&request);
            world.answer(request, unknown);
        }
        Action::Delay { given_up } => {
            world.late.push(Late::Request(request.clone(), !given_up));
            if given_up {
                world.answer(request, unknown);
            }
        }
        Action::DelayAnswer => {
            if let Some(outcome) = world.commit(&request) {
                let super::host::Request {
                    host,
                    process,
                    ticket,
                    ..
                } = request;
                world.late.push(Late::Answer {
                    host,
                    process,
                    ticket,
                    outcome,
                });
            }
        }
        _ => {
            let outcome = world.commit(&request);
            world.late.push(Late::Request(request.clone(), false));
            world.answer(request, outcome);
        }
    }
}

fn arrive(world: &mut World, late: usize) {
    match world.late.remove(late) {
        Late::Request(request, awaited) => {
            let outcome = world.commit(&request);
            if awaited {
                world.answer(request, outcome);
            }
        }
        Late::Answer {
            host,
            process,
            ticket,
            outcome,
        } => world.tell(host, process, Event::Answer(ticket, outcome)),
    }
}
