//! Puts another configuration in force while all goes on: all of it, or nothing.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, task::spawn_blocking, time::timeout};
use tpp::{
    config::{self, Config, PLAIN_BACKEND, Problems, ProcessVars},
    control::Reply,
    lending::{Stock, WorkerSettings},
};
use tracing::{error, info, warn};

use crate::{
    desired::{Desired, DoorTurn, State},
    fleet::{FleetHandle, Order, Wanted},
    front::{self, FrontDoor},
    in_force::InForce,
    plans::{self, Name, Plans, Turn, inputs_for},
    system::{
        limits::lock_tokens,
        logging::Log,
        sockets::{ForWorkers, Listening, listen_beside},
    },
};

/// How long the file, and those it names, may take to be read: one of them may be on a server that does not answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What a reload works on.
pub(crate) struct Reload {
    /// Empty if there is none.
    pub(crate) config_file: PathBuf,
    pub(crate) in_force: Arc<InForce>,
    pub(crate) stock: Arc<Stock>,
    pub(crate) fleet: FleetHandle,
    pub(crate) log: Log,
    /// What the workers act on.
    pub(crate) plans: Arc<Plans>,
    /// What is to be in force around the pools.
    pub(crate) desired: Arc<Desired>,
    /// How clients are let in.
    pub(crate) front: Arc<FrontDoor>,
    /// Held through a reload, and through an upgrade: another one waits.
    pub(crate) turn: Arc<Mutex<()>>,
}

/// Why a reload has changed nothing.
#[derive(Debug)]
pub(crate) enum NotReloaded {
    /// The configuration is wrong.
    Wrong(Problems),
    /// It cannot be read, or put in force.
    Failed(String),
}

impl From<NotReloaded> for Reply {
    fn from(refusal: NotReloaded) -> Self {
        match refusal {
            NotReloaded::Wrong(problems) => {
                Self::Invalid(problems.iter().map(ToString::to_string).collect())
            }
            NotReloaded::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// All of a new configuration that could fail, done.
struct Prepared {
    /// In words, for people.
    changes: String,
    wanted: Wanted,
    listeners: Vec<Listening>,
    sockets: Vec<ForWorkers>,
    front: front::Wanted,
    state: State,
    plan: plans::Prepared,
}

/// Reads the configuration file on a thread of its own: nothing that it waits for keeps the supervisor waiting.
///
/// # Errors
/// What is wrong with it; or, on the outside, that it could not be read in time.
pub(super) async fn read(file: PathBuf) -> Result<Result<Config, Problems>, String> {
    let shown = file.display().to_string();
    let reading = spawn_blocking(move || config::load(&file, &ProcessVars));
    match timeout(READ_TIMEOUT, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(format!("{shown} cannot be read: {error}")),
        Err(_) => Err(format!(
            "{shown}, or a file that it names, was not read within {READ_TIMEOUT:?}"
        )),
    }
}

impl Reload {
    /// Reads the configuration file again and puts it in force; returns what has changed.
    ///
    /// # Errors
    /// Why nothing has.
    pub(crate) async fn run(&self) -> Result<String, NotReloaded> {
        let _turn = self.turn.lock().await;
        if self.config_file.as_os_str().is_empty() {
            let reason = "there is no configuration file to read again";
            return Err(NotReloaded::Failed(reason.to_owned()));
        }
        let outcome = match read(self.config_file.clone()).await {
            Ok(Ok(config)) => self.put_in_force(config).await,
            Ok(Err(problems)) => {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                self.refuse(&lines.join("; "));
                return Err(NotReloaded::Wrong(problems));
            }
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(changes) => {
                info!(changes, "configuration reloaded");
                Ok(changes)
            }
            Err(reason) => {
                self.refuse(&reason);
                Err(NotReloaded::Failed(reason))
            }
        }
    }

    fn refuse(&self, reason: &str) {
        error!(
            reason,
            "reload refused: the old configuration stays in force"
        );
        self.in_force.refuse(reason.to_owned());
    }

    async fn put_in_force(&self, new: Config) -> Result<String, String> {
        let old = self.in_force.now().config.clone();
        let door = self.desired.turn().await;
        let turn = self.plans.turn().await;
        let prepared = self.prepare(&old, &new, &door, &turn).await?;
        self.apply(&old, new, prepared, door, turn).await
    }

    /// Whatever can fail, but for what must be taken back again if the rest fails.
    async fn prepare(
        &self,
        old: &Config,
        new: &Config,
        door: &DoorTurn<'_>,
        turn: &Turn<'_>,
    ) -> Result<Prepared, String> {
        let diff = old.diff(new);
        let fixed = diff.at_restart();
        if !fixed.is_empty() {
            return Err(format!("a change of {} needs a restart", fixed.join(", ")));
        }
        let changes = diff.to_string();
        let seats = self.stock.pool().seats.len();
        let wanted = Wanted::of(new);
        let workers = wanted.workers;
        if 2 * workers > seats {
            return Err(format!(
                "{workers} workers need a restart: there are {seats} seats, two for each"
            ));
        }
        let (listeners, sockets) = self.listeners(new, &self.fleet.sockets().await)?;
        let front = front::Wanted::of(new, &listeners);
        let state = door.under(new.clone())?;
        let settings = WorkerSettings::of(new, workers);
        let (inputs, unresolved) = inputs_for(turn, settings, Arc::clone(&state.gateway)).await;
        let mut backends = state.gateway.backends.iter();
        let plain = backends.find(|one| one.id == PLAIN_BACKEND);
        if plain.is_some_and(|one| unresolved.contains(&Name::of(&one.upstream))) {
            let host = &new.upstream.host;
            return Err(format!("upstream.host {host:?} does not resolve"));
        }
        let plan = turn.prepare(inputs).await?;
        Ok(Prepared {
            changes,
            wanted,
            listeners,
            sockets,
            front,
            state,
            plan,
        })
    }

    /// From the second step on nothing can fail.
    async fn apply(
        &self,
        old: &Config,
        new: Config,
        with: Prepared,
        door: DoorTurn<'_>,
        turn: Turn<'_>,
    ) -> Result<String, String> {
        if let Err(error) = self.log.set_filter(&new.telemetry.log_filter) {
            turn.forget();
            return Err(format!("{error:#}"));
        }
        // Before the plan: who acts on that lets clients in by this.
        let former = match self.front.publish(with.front) {
            Ok(former) => former,
            Err(reason) => {
                turn.forget();
                let _ = self.log.set_filter(&old.telemetry.log_filter);
                return Err(reason);
            }
        };
        if let Err(reason) = turn.publish(with.plan).await {
            // It was in force a moment ago.
            let _ = self.front.publish(former);
            let _ = self.log.set_filter(&old.telemetry.log_filter);
            return Err(reason);
        }
        lock_tokens(self.stock.region(), new.sessions());
        door.settle(with.state).await;
        new.warnings().iter().for_each(|warning| warn!("{warning}"));
        let listeners = with.listeners;
        let before = old.addresses();
        let is_new = |one: &&Listening| !before.contains(&one.wanted);
        for one in listeners.iter().filter(is_new) {
            info!(address = %one.bound, "listening for clients");
        }
        let counter = &self.stock.region().supervisors().configurations;
        counter.add(1);
        let changes = with.changes;
        self.in_force
            .replace(new, listeners, counter.get(), changes.clone());
        // In force it is now, and whole when the workers are there: sooner or later, whatever comes of the first ones.
        let (wanted, sockets) = (with.wanted, with.sockets);
        let settled = self
            .fleet
            .ask(|answer| Order::Want(wanted, sockets, answer))
            .await;
        match settled {
            Ok(_) => Ok(changes),
            Err(reason) => {
                warn!(reason, "the configuration is in force, the workers follow");
                Ok(format!("{changes}; workers follow: {reason}"))
            }
        }
    }

    /// The addresses of `new`, and the sockets for them: those that are open, and others newly opened.
    /// `own` are those that are open.
    fn listeners(
        &self,
        new: &Config,
        own: &[TcpListener],
    ) -> Result<(Vec<Listening>, Vec<ForWorkers>), String> {
        let mut open = self.in_force.now().listeners.clone();
        let mut listeners = Vec::new();
        let mut sockets = Vec::new();
        let addresses = new.addresses();
        for &wanted in &addresses {
            let is_it = |one: &Listening| one.wanted == wanted || one.bound == wanted;
            let kept = open.iter().position(is_it);
            let wide = self.covering(new, wanted);
            let one = match (kept, wide) {
                (Some(at), _) => {
                    // Those behind it keep their order: of several for port 0 each goes to its own place again.
                    let one = open.remove(at);
                    sockets.push(ForWorkers::Kept(one.bound));
                    Listening { wanted, ..one }
                }
                (None, Some(wide)) => {
                    // The socket for all of IPv6, which is open and stays so, takes these clients already.
                    sockets.push(ForWorkers::Kept(wide.bound));
                    Listening { wanted, ..wide }
                }
                (None, None) => {
                    let socket = listen_beside("listen", wanted, &addresses, own)
                        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
                    let one = Listening::on(wanted, &socket).map_err(|error| error.to_string())?;
                    sockets.push(ForWorkers::New(one.bound, socket.into()));
                    one
                }
            };
            listeners.push(one);
        }
        // What a wider one takes in has clients in its backlog, and more come to it as long as it is open.
        for one in open {
            let wider = listeners.iter().find(|wide| wide.includes(one.bound));
            if let Some(wanted) = wider.map(|wide| wide.wanted) {
                sockets.push(ForWorkers::Kept(one.bound));
                listeners.push(Listening { wanted, ..one });
            }
        }
        Ok((listeners, sockets))
    }

    /// The open socket that takes the clients of `address`, if one does that is wanted on.
    fn covering(&self, new: &Config, address: SocketAddr) -> Option<Listening> {
        let configured = self.in_force.now();
        let mut open = configured.listeners.iter();
        let addresses = new.addresses();
        open.find(|one| addresses.contains(&one.wanted) && one.covers(address))
            .copied()
    }
}
