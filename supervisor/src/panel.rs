//! The picture of the whole: read from the region, the fleet and the refresher's books whenever somebody asks, and
//! the door by which `tppctl` gives orders.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc, oneshot};
use tpp::{
    clock::monotonic_millis,
    control::{Command, PoolStatus, Reply, Status, TokenStatus, WorkerStatus},
    pool::{Census, SeatState, SlotState, Stock},
};

use crate::{
    control::Operator,
    fleet::{FleetReport, Order, WorkerReport},
    health::Inputs,
    http::Source,
    metrics::{MetricsSnapshot, Refreshes, WorkerGauges},
    refresh::RefreshHandle,
    schedule::SlotState as TokenState,
    upstream::UpstreamAddresses,
};

/// State of a slot whose user the server refuses.
const REFUSED: &str = "refused";

/// When the supervisor began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    at: Instant,
    unix_seconds: u64,
}

impl Started {
    pub(crate) fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            at: Instant::now(),
            unix_seconds: since_epoch.as_secs(),
        }
    }
}

/// What does not change while the supervisor runs.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) listen: Vec<String>,
    pub(crate) health_listen: String,
    pub(crate) upstream: String,
    pub(crate) config_file: PathBuf,
    pub(crate) started: Started,
}

/// Everything there is to see, and to steer.
pub(crate) struct Panel {
    pub(crate) identity: Identity,
    pub(crate) stock: Arc<Stock>,
    pub(crate) fleet: Arc<Mutex<FleetReport>>,
    pub(crate) refresher: RefreshHandle,
    pub(crate) upstream: UpstreamAddresses,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

impl Panel {
    fn fleet(&self) -> MutexGuard<'_, FleetReport> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The numbers under a lock are copied out by functions of their own: a guard in a longer expression would
    // live to its end and meet itself.

    fn worker_restarts(&self) -> u64 {
        self.fleet().restarts
    }

    fn workers_wanted(&self) -> usize {
        self.fleet().wanted
    }

    fn configured_tokens(&self) -> u64 {
        self.refresher.ledger().slots() as u64
    }

    fn refreshes(&self) -> Refreshes {
        let ledger = self.refresher.ledger();
        Refreshes {
            success: ledger.succeeded,
            refused: ledger.refused,
            trouble: ledger.troubled,
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
            .seats
            .iter()
            .filter_map(|seat| seat.oldest_since())
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
            uptime_seconds: worker.started.elapsed().as_secs(),
            heartbeat_age_ms: self.stock.heartbeat_age(worker.seat),
            connections: counters.open_connections(),
            leases: pool.leases_of(worker.seat),
            waiting: seat.waiting(),
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
                let view = ledger.schedule.view(number)?;
                let note = ledger.note(index);
                let held = pool.slot_state(index);
                Some(TokenStatus {
                    slot: number,
                    user: view.user.to_owned(),
                    state: token_state(view.state, held).to_owned(),
                    age_seconds: view
                        .since
                        .map(|since| now.saturating_duration_since(since).as_secs()),
                    refresh_in_seconds: view
                        .since
                        .and(view.next_login)
                        .map(|at| at.saturating_duration_since(now).as_secs()),
                    holder: match held {
                        SlotState::Leased(seat)
                        | SlotState::Offered(seat)
                        | SlotState::Retiring(seat) => u32::try_from(seat.get()).ok(),
                        SlotState::Free | SlotState::Unusable => None,
                    },
                    uses: pool.slots[index].uses(),
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
            last_reload_failed: false,
        })
    }

    async fn restart(&self) -> Reply {
        let (answer, answered) = oneshot::channel();
        // A fleet that has ended drops the answer.
        let _ = self.orders.send(Order::Restart(answer));
        match answered.await {
            Ok(Ok(done)) => Reply::Done(done),
            Ok(Err(reason)) => Reply::Failed(reason),
            Err(_) => Reply::Failed("tpp is stopping".to_owned()),
        }
    }

    async fn refresh(&self, user: Option<String>) -> Reply {
        let unknown = user
            .as_ref()
            .map(|user| format!("no account has the user name {user:?}"));
        match (self.refresher.renew(user).await, unknown) {
            (0, Some(unknown)) => Reply::Failed(unknown),
            (slots, _) => Reply::Done(format!("logging in anew for {slots} slots")),
        }
    }
}

impl Source for Panel {
    fn status(&self) -> Status {
        let (status, mut reasons) = self.judge(|inputs| inputs.assess());
        reasons.extend(self.fleet().put_off.iter().cloned());
        let totals = self.stock.totals();
        let Identity {
            listen,
            health_listen,
            upstream,
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
            listen: listen.clone(),
            health_listen: health_listen.clone(),
            upstream: upstream.clone(),
            upstream_addresses: self
                .upstream
                .list()
                .iter()
                .map(ToString::to_string)
                .collect(),
            config_file: config_file.display().to_string(),
            config_generation: 1,
            config_loaded_at: started.unix_seconds,
            last_reload: None,
            longest_wait_ms: u64::try_from(self.longest_wait().as_millis()).unwrap_or(u64::MAX),
            requests: totals.requests,
            request_errors: totals.request_errors,
            worker_restarts: self.worker_restarts(),
            workers: self.workers(),
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
            config_generation: 1,
            last_reload_succeeded: true,
            upstream_addresses: self.upstream.list().len() as u64,
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.judge(|inputs| inputs.readiness())
    }
}

impl Operator for Panel {
    async fn run(&self, command: Command) -> Reply {
        match command {
            Command::Status => Reply::Status(Box::new(self.status())),
            Command::Workers => Reply::Workers(self.workers()),
            Command::Tokens => Reply::Tokens(self.tokens()),
            Command::Refresh { user } => self.refresh(user).await,
            Command::Restart => self.restart().await,
            Command::Reload => Reply::Failed(
                "this version cannot reload: restart tpp to put a new configuration in force"
                    .to_owned(),
            ),
        }
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
        (_, SlotState::Retiring(_)) => "retiring",
        // A token that nobody complained of is out of use only when its renewal was refused.
        (TokenState::Refused, _) | (TokenState::Usable, SlotState::Unusable) => REFUSED,
        (TokenState::Suspect, _) => "suspect",
        (TokenState::Empty, _) => "empty",
        (TokenState::Usable, SlotState::Free) => "free",
        (TokenState::Usable, SlotState::Leased(_)) => "leased",
        (TokenState::Usable, SlotState::Offered(_)) => "offered",
    }
}
