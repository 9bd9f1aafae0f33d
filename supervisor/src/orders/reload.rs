//! Puts another configuration in force while all goes on: all of it, or nothing.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::timeout,
};
use tpp::{
    config::{self, Config, Problems, ProcessVars, Upstream},
    control::Reply,
    lending::{Stock, WorkerSettings},
    plan::Server,
};
use tracing::{error, info, warn};

use crate::{
    fleet::{FleetHandle, Order, Wanted},
    in_force::InForce,
    refresh::{RefreshHandle, Setup},
    system::{
        limits::lock_tokens,
        logging::Log,
        sockets::{ForWorkers, Listening, listen_beside},
    },
    upstream::{self, Plans, Turn},
};

/// How long the file, and those it names, may take to be read: one of them may be on a server that does not answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What a reload works on.
pub(crate) struct Reload {
    /// Empty if there is none.
    pub(crate) config_file: PathBuf,
    pub(crate) in_force: Arc<InForce>,
    pub(crate) stock: Arc<Stock>,
    pub(crate) refresher: RefreshHandle,
    pub(crate) fleet: FleetHandle,
    pub(crate) log: Log,
    /// What the workers act on.
    pub(crate) plans: Arc<Plans>,
    /// Whoever follows the upstream's name.
    pub(crate) upstream: watch::Sender<Upstream>,
    /// Held through a reload, and through an upgrade: another one waits.
    pub(crate) turn: Arc<Mutex<()>>,
}

/// All of a new configuration that could fail, done.
struct Prepared {
    /// In words, for people.
    changes: String,
    wanted: Wanted,
    listeners: Vec<Listening>,
    sockets: Vec<ForWorkers>,
    setup: Setup,
    plan: upstream::Prepared,
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
    /// Reads the configuration file again and puts it in force, or changes nothing and says why.
    pub(crate) async fn run(&self) -> Reply {
        let _turn = self.turn.lock().await;
        if self.config_file.as_os_str().is_empty() {
            return Reply::Failed("there is no configuration file to read again".to_owned());
        }
        let outcome = match read(self.config_file.clone()).await {
            Ok(Ok(config)) => self.put_in_force(config).await,
            Ok(Err(problems)) => {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                self.refuse(&lines.join("; "));
                return Reply::Invalid(lines);
            }
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(changes) => {
                info!(changes, "configuration reloaded");
                Reply::Done(changes)
            }
            Err(reason) => {
                self.refuse(&reason);
                Reply::Failed(reason)
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
        let turn = self.plans.turn().await;
        let prepared = self.prepare(&old, &new, &turn).await?;
        self.apply(&old, new, prepared, turn).await
    }

    /// Whatever can fail, but for what must be taken back again if the rest fails.
    async fn prepare(
        &self,
        old: &Config,
        new: &Config,
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
        let setup = Setup::of(new).map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let settings = WorkerSettings::of(new, workers);
        let server = Server::of(&new.upstream, new.token.scope);
        let addresses = match turn.addresses_of(&server) {
            Some(addresses) => addresses,
            None => upstream::resolve(&new.upstream).await?,
        };
        let plan = turn
            .prepare(settings, server, addresses)
            .map_err(|error| error.to_string())?;
        Ok(Prepared {
            changes,
            wanted,
            listeners,
            sockets,
            setup,
            plan,
        })
    }

    /// From the second step on nothing can fail.
    async fn apply(
        &self,
        old: &Config,
        new: Config,
        with: Prepared,
        turn: Turn<'_>,
    ) -> Result<String, String> {
        self.log
            .set_filter(&new.telemetry.log_filter)
            .map_err(|error| format!("{error:#}"))?;
        // Tokens that are none of the new plan's are out of use before it is in force.
        let backends = with.plan.backends().to_vec();
        if let Err(reason) = self.refresher.reconfigure(with.setup, backends).await {
            // It was in force a moment ago.
            let _ = self.log.set_filter(&old.telemetry.log_filter);
            return Err(reason);
        }
        lock_tokens(self.stock.region(), new.sessions());
        // Before the turn ends: what is found out about the old one is not taken for this one's.
        self.upstream.send_if_modified(|upstream| {
            let differs = *upstream != new.upstream;
            new.upstream.clone_into(upstream);
            differs
        });
        turn.publish(with.plan).await;
        new.warnings().iter().for_each(|warning| warn!("{warning}"));
        let listeners = with.listeners;
        let is_new = |one: &&Listening| !old.listen.contains(&one.wanted);
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
        for &wanted in &new.listen {
            let is_it = |one: &Listening| one.wanted == wanted || one.bound == wanted;
            let kept = open.iter().position(is_it);
            let wide = self.covering(new, wanted);
            let one = match (kept, wide) {
                (Some(at), _) => {
                    let one = open.swap_remove(at);
                    sockets.push(ForWorkers::Kept(one.bound));
                    Listening { wanted, ..one }
                }
                (None, Some(wide)) => {
                    // The socket for all of IPv6, which is open and stays so, takes these clients already.
                    sockets.push(ForWorkers::Kept(wide.bound));
                    Listening { wanted, ..wide }
                }
                (None, None) => {
                    let socket = listen_beside("listen", wanted, &new.listen, own)
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
        open.find(|one| new.listen.contains(&one.wanted) && one.covers(address))
            .copied()
    }
}
