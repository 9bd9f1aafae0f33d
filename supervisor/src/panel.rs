//! The picture of the whole: read from the region, the fleet and the refresher's books whenever somebody asks, and
//! the door by which `tppctl` gives orders.

mod orders;

use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc;
use tpp::{
    clock::monotonic_millis,
    config::Config,
    control::{PoolStatus, Status, TokenStatus, WorkerStatus},
    estate::Role,
    lending::Stock,
    pool::{Census, SlotIndex, SlotState},
    roster::SeatState,
};

use crate::{
    fleet::{FleetReport, Order, WorkerReport},
    health::Inputs,
    http::Source,
    metrics::{MetricsSnapshot, Refreshes, WorkerGauges},
    refresh::RefreshHandle,
    reload::Reloader,
    schedule::SlotState as TokenState,
    sockets::Listening,
    succession::{history, upgrade::Invocation},
    upstream::UpstreamAddresses,
};

/// State of a slot whose user the server refuses.
const REFUSED: &str = "refused";
/// State of a slot that is still held, and not to be lent again.
const RETIRING: &str = "retiring";

/// When the supervisor began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    at: Instant,
    unix_seconds: u64,
}

impl Started {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            unix_seconds: unix_seconds(),
        }
    }
}

/// What does not change while the supervisor runs.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) health_listen: String,
    pub(crate) config_file: PathBuf,
    pub(crate) started: Started,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) config: Config,
    /// Addresses that take clients.
    pub(crate) listeners: Vec<Listening>,
    /// How often one was put in force, the first included, by all supervisors of this pool.
    generation: u64,
    loaded_at: u64,
    last_reload: Option<Result<String, String>>,
}

impl InForce {
    /// The first one of this supervisor.
    pub(crate) fn first(config: Config, listeners: Vec<Listening>, generation: u64) -> Self {
        Self {
            config,
            listeners,
            generation,
            loaded_at: unix_seconds(),
            last_reload: None,
        }
    }

    /// Another configuration, of which `changes` says what it changes.
    pub(crate) fn replace(
        &mut self,
        config: Config,
        listeners: Vec<Listening>,
        generation: u64,
        changes: String,
    ) {
        self.config = config;
        self.listeners = listeners;
        self.generation = generation;
        self.loaded_at = unix_seconds();
        self.last_reload = Some(Ok(changes));
    }

    /// Another configuration was refused.
    pub(crate) fn refuse(&mut self, reason: String) {
        self.last_reload = Some(Err(reason));
    }
}

pub(crate) fn unix_seconds() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}

/// Everything there is to see, and to steer.
pub(crate) struct Panel {
    pub(crate) identity: Identity,
    pub(crate) stock: Arc<Stock>,
    pub(crate) fleet: Arc<Mutex<FleetReport>>,
    pub(crate) refresher: RefreshHandle,
    pub(crate) upstream: UpstreamAddresses,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    pub(crate) in_force: Mutex<InForce>,
    pub(crate) reloader: Reloader,
    pub(crate) invocation: Invocation,
    /// Sockets of the supervisor's own, for a successor in its place.
    pub(crate) own_sockets: Vec<(Role, OwnedFd)>,
}

impl Panel {
    fn fleet(&self) -> MutexGuard<'_, FleetReport> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The numbers under a lock are copied out by functions of their own: a guard in a longer expression would
    // live to its end and meet itself.

    fn worker_restarts(&self) -> u64 {
        self.stock.region().supervisors().worker_restarts.get()
    }

    fn workers_wanted(&self) -> usize {
        self.fleet().wanted
    }

    fn configured_tokens(&self) -> u64 {
        self.refresher.ledger().configured()
    }

    pub(crate) fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config_generation(&self) -> u64 {
        self.in_force().generation
    }

    fn config_loaded_at(&self) -> u64 {
        self.in_force().loaded_at
    }

    fn listen(&self) -> Vec<String> {
        let in_force = self.in_force();
        let listeners = in_force.listeners.iter();
        listeners.map(|one| one.bound.to_string()).collect()
    }

    fn upstream_name(&self) -> String {
        let in_force = self.in_force();
        format!(
            "{}:{}",
            in_force.config.upstream.host, in_force.config.upstream.port
        )
    }

    fn last_reload(&self) -> Option<String> {
        self.in_force()
            .last_reload
            .as_ref()
            .map(|result| match result {
                Ok(changes) => format!("done: {changes}"),
                Err(reason) => format!("refused: {reason}"),
            })
    }

    fn last_reload_failed(&self) -> bool {
        matches!(self.in_force().last_reload, Some(Err(_)))
    }

    fn refreshes(&self) -> Refreshes {
        let counters = self.stock.region().supervisors();
        Refreshes {
            success: counters.logins_succeeded.get(),
            refused: counters.logins_refused.get(),
            trouble: counters.logins_failed.get(),
        }
    }

    fn pool_status(&self) -> PoolStatus {
        let Census {
            usable,
            in_use,
            available,
            waiting,
            ..
        } = self.stock.pool().census();
        PoolStatus {
            total: usable,
            in_use,
            available,
            waiting,
        }
    }

    fn longest_wait(&self) -> Duration {
        let pool = self.stock.pool();
        let oldest = pool
            .lines
            .iter()
            .filter_map(|line| line.oldest_since())
            .min();
        Duration::from_millis(oldest.map_or(0, |since| monotonic_millis().saturating_sub(since)))
    }

    fn workers(&self) -> Vec<WorkerStatus> {
        self.fleet()
            .workers
            .iter()
            .map(|worker| self.worker(worker))
            .collect()
    }

    fn worker(&self, worker: &WorkerReport) -> WorkerStatus {
        let pool = self.stock.pool();
        let seat = &pool.seats[worker.seat.get()];
        let counters = self.stock.region().counters(worker.seat);
        let word = seat.word();
        let state = match word.state {
            _ if word.stalled => "stalled",
            _ if worker.leaving => "draining",
            SeatState::Ready => "ready",
            SeatState::Draining => "draining",
            SeatState::Starting => "starting",
            SeatState::Vacant | SeatState::Dead => "gone",
        };
        WorkerStatus {
            seat: seat_number(worker),
            epoch: worker.epoch.get(),
            pid: worker.pid,
            state: state.to_owned(),
            uptime_seconds: monotonic_millis().saturating_sub(seat.filled_at()) / 1000,
            heartbeat_age_ms: self.stock.heartbeat_age(worker.seat),
            connections: counters.open_connections(),
            leases: pool.leases_of(worker.seat),
            waiting: pool.lines[worker.seat.get()].waiting(),
            requests: counters.requests.get(),
            errors: counters.request_errors.get(),
            restarts: worker.restarts,
            last_exit: worker.last_exit.clone(),
        }
    }

    fn tokens(&self) -> Vec<TokenStatus> {
        let now = Instant::now();
        let ledger = self.refresher.ledger();
        let pool = self.stock.pool();
        (0..)
            .zip(0..ledger.slots())
            .filter_map(|(number, index)| {
                let view = ledger.schedule.view(number);
                let note = ledger.note(index);
                let held = pool.slot_state(index);
                // A slot that is nobody's any more is shown as long as somebody holds it.
                let state = match (&view, held) {
                    (Some(view), held) => token_state(view.state, held),
                    (None, SlotState::Retiring(_)) => RETIRING,
                    (None, _) => return None,
                };
                let since = view.as_ref().and_then(|view| view.since);
                let next_login = view.as_ref().and_then(|view| view.next_login);
                Some(TokenStatus {
                    slot: number,
                    user: note.user.clone(),
                    state: state.to_owned(),
                    age_seconds: since.map(|since| now.saturating_duration_since(since).as_secs()),
                    refresh_in_seconds: since
                        .and(next_login)
                        .map(|at| at.saturating_duration_since(now).as_secs()),
                    holder: match held {
                        SlotState::Leased(seat)
                        | SlotState::Offered(seat)
                        | SlotState::Retiring(seat) => u32::try_from(seat.get()).ok(),
                        SlotState::Free | SlotState::Unusable => None,
                    },
                    uses: self.stock.uses(SlotIndex::new(index)),
                    errors: note.errors,
                    last_error: note.last_error.clone(),
                    fingerprint: note.fingerprint.clone(),
                })
            })
            .collect()
    }

    /// Users whose logins the server refuses, each once.
    fn refused_users(&self) -> Vec<String> {
        let refused = self
            .tokens()
            .into_iter()
            .filter(|token| token.state == REFUSED);
        let mut users: Vec<_> = refused.map(|token| token.user).collect();
        users.sort();
        users.dedup();
        users
    }

    /// Calls `then` with what health is judged by.
    fn judge<T>(&self, then: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let refused_users = self.refused_users();
        let ready = self
            .workers()
            .iter()
            .filter(|worker| worker.state == "ready")
            .count();
        then(&Inputs {
            pool: self.pool_status(),
            configured_tokens: self.configured_tokens(),
            workers_ready: ready,
            workers_wanted: self.workers_wanted(),
            refused_users: &refused_users,
            upstream_resolved: !self.upstream.list().is_empty(),
            last_reload_failed: self.last_reload_failed(),
        })
    }
}

impl Source for Panel {
    fn status(&self) -> Status {
        let (status, mut reasons) = self.judge(|inputs| inputs.assess());
        reasons.extend(self.fleet().put_off.iter().cloned());
        let totals = self.stock.totals();
        let Identity {
            health_listen,
            config_file,
            started,
        } = &self.identity;
        Status {
            status,
            reasons,
            pool: self.pool_status(),
            configured_tokens: self.configured_tokens(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: started.at.elapsed().as_secs(),
            listen: self.listen(),
            health_listen: health_listen.clone(),
            upstream: self.upstream_name(),
            upstream_addresses: self
                .upstream
                .list()
                .iter()
                .map(ToString::to_string)
                .collect(),
            config_file: config_file.display().to_string(),
            config_generation: self.config_generation(),
            config_loaded_at: self.config_loaded_at(),
            last_reload: self.last_reload(),
            longest_wait_ms: u64::try_from(self.longest_wait().as_millis()).unwrap_or(u64::MAX),
            requests: totals.requests,
            request_errors: totals.request_errors,
            worker_restarts: self.worker_restarts(),
            workers: self.workers(),
            supervisors: history::read(&self.stock),
        }
    }

    fn metrics(&self) -> MetricsSnapshot {
        let refreshes = self.refreshes();
        MetricsSnapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.identity.started.unix_seconds,
            pool: self.pool_status(),
            configured_tokens: self.configured_tokens(),
            longest_wait: self.longest_wait(),
            totals: self.stock.totals(),
            refreshes,
            login_failures: refreshes.refused + refreshes.trouble,
            worker_restarts: self.worker_restarts(),
            workers: self.workers().iter().map(gauges).collect(),
            config_generation: self.config_generation(),
            last_reload_succeeded: !self.last_reload_failed(),
            upstream_addresses: self.upstream.list().len() as u64,
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.judge(|inputs| inputs.readiness())
    }
}

fn seat_number(worker: &WorkerReport) -> u32 {
    u32::try_from(worker.seat.get()).expect("seats are counted in 8 bits")
}

fn gauges(worker: &WorkerStatus) -> WorkerGauges {
    WorkerGauges {
        seat: worker.seat,
        ready: worker.state == "ready",
        connections: worker.connections,
        waiting: worker.waiting,
    }
}

/// A slot in one word: trouble with its token first, then who has it.
fn token_state(token: TokenState, held: SlotState) -> &'static str {
    match (token, held) {
        (_, SlotState::Retiring(_)) => RETIRING,
        // A token that nobody complained of is out of use only when its renewal was refused.
        (TokenState::Refused, _) | (TokenState::Usable, SlotState::Unusable) => REFUSED,
        (TokenState::Suspect, _) => "suspect",
        (TokenState::Empty, _) => "empty",
        (TokenState::Usable, SlotState::Free) => "free",
        (TokenState::Usable, SlotState::Leased(_)) => "leased",
        (TokenState::Usable, SlotState::Offered(_)) => "offered",
    }
}
