//! Puts another configuration in force while all goes on: all of it, or nothing.

use std::collections::BTreeMap;

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
        let fixed = fixed_keys(&old, &new);
        if !fixed.is_empty() {
            return Err(format!("a change of {} needs a restart", fixed.join(", ")));
        }
        let changes = match changes(&old, &new) {
            changes if changes.is_empty() => "nothing has changed".to_owned(),
            changes => format!("changed: {}", changes.join(", ")),
        };
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

/// Keys that differ and cannot be put in force without a restart.
fn fixed_keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let keys = [
        ("health_listen", old.health_listen != new.health_listen),
        ("control_socket", old.control_socket != new.control_socket),
        (
            "token.max_token_bytes",
            old.token.max_token_bytes != new.token.max_token_bytes,
        ),
        (
            "telemetry.log_format",
            old.telemetry.log_format != new.telemetry.log_format,
        ),
        (
            "telemetry.otlp_endpoint",
            old.telemetry.otlp_endpoint != new.telemetry.otlp_endpoint,
        ),
    ];
    changed(keys)
}

/// What differs, a few words each; empty if nothing does. No secret is among them.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let sections = [
        ("listen", old.listen != new.listen),
        (
            "trust_forwarded",
            old.trust_forwarded != new.trust_forwarded,
        ),
        ("workers", old.workers != new.workers),
        ("upstream", old.upstream != new.upstream),
        ("client", old.client != new.client),
        ("token", old.token != new.token),
        ("lease", old.lease != new.lease),
        ("telemetry", old.telemetry != new.telemetry),
    ];
    let mut changes: Vec<_> = changed(sections).into_iter().map(str::to_owned).collect();
    changes.extend(accounts(old, new));
    changes
}

/// The keys of those that differ.
pub(crate) fn changed<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

/// `accounts (1 added, 2 changed)`, if any were.
fn accounts(old: &Config, new: &Config) -> Option<String> {
    let by_name = |config: &Config| -> BTreeMap<String, _> {
        let accounts = config.credentials.iter().cloned();
        accounts
            .map(|account| (account.username.clone(), account))
            .collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let added = new.keys().filter(|user| !old.contains_key(*user)).count();
    let removed = old.keys().filter(|user| !new.contains_key(*user)).count();
    let differs =
        |(user, account): &(&String, &_)| new.get(*user).is_some_and(|new| new != *account);
    let changed = old.iter().filter(differs).count();
    let counts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let words: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
    (!words.is_empty()).then(|| format!("accounts ({})", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use tpp::config::{Format, parse};

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("{text}\n[upstream]\nhost = \"h\"\n");
        let variables = BTreeMap::<String, String>::new();
        parse(
            &text,
            Path::new("tpp.toml"),
            Format::Toml,
            Path::new("/"),
            &variables,
        )
        .expect("a good configuration")
    }

    fn account(user: &str, password: &str) -> String {
        format!("[[credentials]]\nusername = \"{user}\"\npassword = \"{password}\"\n")
    }

    #[test]
    fn the_same_configuration_changes_nothing() {
        let config = config(&account("a", "x"));
        assert!(changes(&config, &config).is_empty());
        assert!(fixed_keys(&config, &config).is_empty());
    }

    #[test]
    fn accounts_are_counted_by_what_became_of_them() {
        let old = config(&[account("a", "x"), account("b", "x"), account("c", "x")].concat());
        let new = config(&[account("b", "other"), account("c", "x"), account("d", "x")].concat());
        assert_eq!(
            changes(&old, &new),
            ["accounts (1 added, 1 removed, 1 changed)"]
        );
    }

    #[test]
    fn what_needs_a_restart_is_named_by_its_key() {
        let old = config(&account("a", "x"));
        let new = config(&format!(
            "listen = \"127.0.0.1:1\"\n[token]\nmax_token_bytes = 512\n{}",
            account("a", "x")
        ));
        assert_eq!(fixed_keys(&old, &new), ["token.max_token_bytes"]);
        assert_eq!(changes(&old, &new), ["listen", "token"]);
    }
}
