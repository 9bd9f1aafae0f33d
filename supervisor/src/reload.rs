//! Puts another configuration in force while all goes on: all of it, or nothing.

use tokio::sync::watch;
use tpp::{
    config::{self, Config, ProcessVars, Upstream},
    control::Reply,
    lending::WorkerSettings,
};
use tracing::{error, info, warn};

use crate::{
    fleet::Order,
    logging::Log,
    panel::Panel,
    prepare::worker_count,
    refresh::Setup,
    run::wanted,
    sockets::{ForWorkers, Listening, listen},
    upstream,
};

/// What a reload works on besides the panel's own.
pub(crate) struct Reloader {
    /// Whoever follows the upstream's name.
    pub(crate) upstream: watch::Sender<Upstream>,
    pub(crate) log: Log,
    /// Held through a reload: a second one waits.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Panel {
    /// Reads the configuration file again and puts it in force, or changes nothing and says why.
    pub(crate) async fn reload(&self) -> Reply {
        let _turn = self.reloader.turn.lock().await;
        let file = &self.identity.config_file;
        if file.as_os_str().is_empty() {
            return Reply::Failed("there is no configuration file to read again".to_owned());
        }
        let config = match config::load(file, &ProcessVars) {
            Ok(config) => config,
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                self.refuse(&lines.join("; "));
                return Reply::Invalid(lines);
            }
        };
        match self.put_in_force(config).await {
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
        self.in_force().refuse(reason.to_owned());
    }

    /// Whatever can fail comes first; what follows cannot.
    async fn put_in_force(&self, new: Config) -> Result<String, String> {
        let old = self.in_force().config.clone();
        let diff = old.diff(&new);
        let fixed = diff.at_restart();
        if !fixed.is_empty() {
            return Err(format!("a change of {} needs a restart", fixed.join(", ")));
        }
        let changes = diff.to_string();
        let seats = self.stock.pool().seats.len();
        let workers = worker_count(&new);
        if 2 * workers > seats {
            return Err(format!(
                "{workers} workers need a restart: there are {seats} seats, two for each"
            ));
        }
        let (listeners, sockets) = self.listeners(&new)?;
        let setup = Setup::of(&new).map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let settings = WorkerSettings::of(&new, workers);
        let moves_to = if settings.lead_to(&old.upstream) {
            None
        } else {
            Some(upstream::resolve(&new.upstream).await?)
        };
        self.reloader
            .log
            .set_filter(&new.telemetry.log_filter)
            .map_err(|error| format!("{error:#}"))?;
        if let Err(reason) = self.refresher.reconfigure(setup).await {
            // It was in force a moment ago.
            let _ = self.reloader.log.set_filter(&old.telemetry.log_filter);
            return Err(reason);
        }
        if let Some(addresses) = &moves_to {
            self.upstream.publish(addresses, &self.stock);
        }
        self.publish(&settings);
        if moves_to.is_some() {
            // Its tokens are the other server's.
            self.refresher.renew(None).await;
        }
        self.reloader.upstream.send_if_modified(|upstream| {
            let differs = *upstream != new.upstream;
            new.upstream.clone_into(upstream);
            differs
        });
        new.warnings().iter().for_each(|warning| warn!("{warning}"));
        for one in listeners
            .iter()
            .filter(|one| !old.listen.contains(&one.wanted))
        {
            info!(address = %one.bound, "listening for clients");
        }
        let counter = &self.stock.region().supervisors().configurations;
        counter.add(1);
        let want = wanted(&new, workers);
        self.in_force()
            .replace(new, listeners, counter.get(), changes.clone());
        // In force it is now, and whole when the workers are there: sooner or later, whatever comes of the first ones.
        match self
            .ask_fleet(|answer| Order::Want(want, sockets, answer))
            .await
        {
            Ok(_) => Ok(changes),
            Err(reason) => {
                warn!(reason, "the configuration is in force, the workers follow");
                Ok(format!("{changes}; workers follow: {reason}"))
            }
        }
    }

    /// The addresses of `new`, and the sockets for them: those that are open, and others newly opened.
    fn listeners(&self, new: &Config) -> Result<(Vec<Listening>, Vec<ForWorkers>), String> {
        let mut open = self.in_force().listeners.clone();
        let mut listeners = Vec::new();
        let mut sockets = Vec::new();
        for &wanted in &new.listen {
            let kept = open.iter().position(|one| one.wanted == wanted);
            let one = match kept {
                Some(at) => {
                    let one = open.swap_remove(at);
                    sockets.push(ForWorkers::Kept(one.bound));
                    one
                }
                None => {
                    let socket = listen("listen", wanted)
                        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
                    let one = Listening::on(wanted, &socket).map_err(|error| error.to_string())?;
                    sockets.push(ForWorkers::New(one.bound, socket.into()));
                    one
                }
            };
            listeners.push(one);
        }
        Ok((listeners, sockets))
    }

    fn publish(&self, settings: &WorkerSettings) {
        if let Err(error) = self.stock.publish_settings(settings) {
            // All texts among them are bounded, far below the room there is.
            error!(%error, "the workers keep their old settings");
        }
    }
}
