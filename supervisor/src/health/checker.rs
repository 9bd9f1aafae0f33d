//! Runs the checks: each backend at its own time, so many at once at most.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
    time::Instant,
};
use tpp::clock::unix_seconds;
use tracing::{error, info, warn};

use super::{
    prober::{Alive, Probe},
    record::{Begin, Health, Record},
    rules::Target,
};

/// Checks under way at once: a thousand backends are no burst.
const MOST_AT_ONCE: usize = 64;
/// Longer than any check is put off: the wait when there is none.
const NOTHING_DUE: Duration = Duration::from_secs(3600);
/// After a login that was turned down: another one soon might lock the account out. The account's own logins rest as long.
const REST: Duration = Duration::from_secs(300);

/// A backend as its checks see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it can serve.
    pub health: Health,
    /// Since when, Unix seconds.
    pub since: u64,
    /// Why the last check that failed did.
    pub last_error: Option<String>,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed.
    pub failed: u64,
}

impl Seen {
    fn of(record: &Record) -> Self {
        Self {
            health: record.health(),
            since: record.since(),
            last_error: record.last_error().map(str::to_owned),
            passed: record.passed(),
            failed: record.failed(),
        }
    }
}

/// One backend under checks.
#[derive(Debug)]
struct Watched {
    target: Arc<Target>,
    record: Record,
    /// When its next check is due; `None`: one is under way.
    due: Option<Instant>,
    /// Tells it from an earlier one of the same name.
    number: u64,
}

#[derive(Debug, Default)]
struct State {
    watched: BTreeMap<String, Watched>,
    last_number: u64,
}

/// What others may ask of the checks, and tell them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checks {
    state: Arc<Mutex<State>>,
    /// Changes when there are other targets.
    targets: watch::Sender<()>,
    /// Changes when a check has turned a state, or was a backend's first.
    turned: watch::Sender<()>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            targets: watch::Sender::new(()),
            turned: watch::Sender::new(()),
        }
    }
}

impl Checks {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the guard can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks these from now on, and no others. One that was checked before and is the same server keeps what is known of it;
    /// `begin` says what is known of a new one.
    pub fn replace(&self, targets: Vec<Target>, begin: impl Fn(&str) -> Begin) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.watched);
        for target in targets {
            let known = before.remove(&target.id);
            let id = target.id.clone();
            let watched = match known.filter(|known| is_same_server(&known.target, &target)) {
                Some(known) => Watched {
                    target: Arc::new(target),
                    ..known
                },
                None => {
                    state.last_number += 1;
                    let record = Record::new(begin(&id), unix_seconds());
                    let pause = record.first_pause(&target.rules, rand::random());
                    Watched {
                        target: Arc::new(target),
                        record,
                        due: Some(Instant::now() + pause),
                        number: state.last_number,
                    }
                }
            };
            state.watched.insert(id, watched);
        }
        drop(state);
        self.targets.send_replace(());
    }

    /// Whether backend `id` can serve as far as its checks know; `None`: it has none.
    #[must_use]
    pub fn health(&self, id: &str) -> Option<Health> {
        let state = self.state();
        state.watched.get(id).map(|one| one.record.health())
    }

    /// All that is checked, by name.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        let state = self.state();
        let seen = |(id, one): (&String, &Watched)| (id.clone(), Seen::of(&one.record));
        state.watched.iter().map(seen).collect()
    }

    /// Changes whenever a check has turned a backend's state, or was its first.
    #[must_use]
    pub fn turns(&self) -> watch::Receiver<()> {
        self.turned.subscribe()
    }

    /// Waits until each of these that is checked has been so once.
    pub async fn looked_at(&self, ids: &[String]) {
        let mut turns = self.turns();
        loop {
            turns.mark_unchanged();
            let is_waited_for = {
                let state = self.state();
                let watched = ids.iter().filter_map(|id| state.watched.get(id));
                let mut records = watched.map(|one| &one.record);
                records.any(|record| !record.has_been_looked_at())
            };
            if !is_waited_for || turns.changed().await.is_err() {
                return;
            }
        }
    }

    /// Those whose time has come, at most `room`, and when the next one is due.
    fn take_due(&self, now: Instant, room: usize) -> (Vec<(Arc<Target>, u64)>, Instant) {
        let mut state = self.state();
        let mut due: Vec<_> = state
            .watched
            .values_mut()
            .filter(|one| one.due.is_some())
            .collect();
        due.sort_by_key(|one| one.due);
        let mut taken = Vec::new();
        let mut next = now + NOTHING_DUE;
        for one in due {
            let at = one.due.unwrap_or(now);
            if at > now {
                next = next.min(at);
                break;
            }
            if taken.len() == room {
                // Whoever ends makes room, and has us look again.
                break;
            }
            one.due = None;
            taken.push((Arc::clone(&one.target), one.number));
        }
        (taken, next)
    }

    /// Notes what a check came to.
    fn note(&self, id: &str, number: u64, result: Result<Alive, String>) {
        let mut state = self.state();
        // It may have gone meanwhile, or be another one of that name.
        let one = state.watched.get_mut(id).filter(|one| one.number == number);
        let Some(one) = one else {
            return;
        };
        let rests = matches!(result, Ok(Alive::Refused));
        let is_first = !one.record.has_been_looked_at();
        let rules = &one.target.rules;
        let has_turned = one.record.note(result.map(|_| ()), rules, unix_seconds());
        let pause = one.record.pause(rules, rand::random());
        let pause = if rests { pause.max(REST) } else { pause };
        one.due = Some(Instant::now() + pause);
        if has_turned {
            match one.record.health() {
                Health::Up => info!(backend = id, "backend is up"),
                Health::Down => {
                    let reason = one.record.last_error();
                    warn!(backend = id, reason, "backend is down");
                }
            }
        }
        drop(state);
        if has_turned || is_first {
            self.turned.send_replace(());
        }
    }
}

/// Whether what was found of one holds for the other.
fn is_same_server(one: &Target, other: &Target) -> bool {
    let name = |target: &Target| {
        let upstream = &target.upstream;
        (upstream.host.clone(), upstream.port, upstream.tls)
    };
    name(one) == name(other)
}

/// A check under way.
type Done = (String, u64, Result<Alive, String>);

/// Runs the checks with `P`.
pub struct Checker<P> {
    checks: Checks,
    probe: Arc<P>,
    under_way: JoinSet<Done>,
    /// Whose each task is.
    names: BTreeMap<task::Id, (String, u64)>,
}

impl<P: Probe> Checker<P> {
    /// Of what `checks` are told.
    pub fn new(checks: Checks, probe: P) -> Self {
        Self {
            checks,
            probe: Arc::new(probe),
            under_way: JoinSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Runs as long as it is polled.
    pub async fn run(mut self) {
        let mut targets = self.checks.targets.subscribe();
        loop {
            let room = MOST_AT_ONCE - self.under_way.len();
            let (due, next) = self.checks.take_due(Instant::now(), room);
            due.into_iter()
                .for_each(|(target, number)| self.start(target, number));
            tokio::select! {
                Some(done) = self.under_way.join_next_with_id() => self.done(done),
                // The sender lives as long as we do.
                Ok(()) = targets.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    fn start(&mut self, target: Arc<Target>, number: u64) {
        let probe = Arc::clone(&self.probe);
        let id = target.id.clone();
        let name = (id.clone(), number);
        let task = self.under_way.spawn(async move {
            let timeout = target.rules.timeout;
            let result = tokio::time::timeout(timeout, probe.check(&target)).await;
            let late = |_| Err(format!("no whole answer within {timeout:?}"));
            (id, number, result.unwrap_or_else(late))
        });
        self.names.insert(task.id(), name);
    }

    fn done(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let name = self.names.remove(&id);
        match (done, name) {
            (Ok((_, (id, number, result))), _) => self.checks.note(&id, number, result),
            // Bytes from outside reach that code: what it cannot bear must not end the checks.
            (Err(broken), Some((id, number))) => {
                error!(backend = id, error = %broken, "a health check broke down");
                let reason = "the check broke down".to_owned();
                self.checks.note(&id, number, Err(reason));
            }
            (Err(_), None) => {}
        }
    }
}

impl<P> fmt::Debug for Checker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("under_way", &self.under_way.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
