//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use tpp::{api_tokens::ApiRole, config::DEFAULT_POOL, control::Command};

const DEFAULT_SOCKET: &str = "/run/tpp/control.sock";

/// How long a drain may be waited for, seconds.
const DEADLINES: std::ops::RangeInclusive<u64> = 1..=86_400;

/// A question is answered from memory.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// An order is answered when it is done: logins and worker replacements take their time.
const ORDER_TIMEOUT: Duration = Duration::from_secs(600);

/// Talks to a running tpp.
#[derive(Debug, Clone, Parser)]
#[command(name = "tppctl", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit status: 0 done (status: healthy or degraded); 1 failed (status: unhealthy); 2 wrong use; 78 configuration error."
)]
pub(crate) struct Args {
    /// Control socket of tpp [env: TPP_CONTROL_SOCKET] [default: /run/tpp/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// How long to wait for the answer [default: 10; for refresh, reload, restart and upgrade 600]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Action {
    /// Show health, pool, queue, upstream and workers
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show it again and again
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
        watch: Option<Duration>,
    },
    /// Watch tpp in the terminal: pools, holders, hosts, backends and workers, with keys to sort and to act
    Top {
        /// Print it once, as it is in a pipe
        #[arg(long)]
        once: bool,
    },
    /// Show each worker process
    Workers {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show each slot: its user, the state of its token, and who holds it
    Tokens {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show each virtual host: its tag, and how many backends can serve it
    Domains {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show each backend: its address, tags, weight, state and health
    Backends {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have backends of another tag serve a virtual host, from now on
    Switch(SwitchOrder),
    /// Give a backend nothing new; what is open goes on
    Drain(DrainOrder),
    /// What is in force around the pools
    Gateway {
        #[command(subcommand)]
        action: GatewayAction,
    },
    /// Show each pool of tokens
    Pools {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what each pool has done: leases that found a token or waited for a login, logins, rests, with rates; and how long waits and answers took
    Report {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Over so many seconds from now on [default: since it is counted]
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        seconds: Option<Duration>,
    },
    /// Show the hosts that share sessions, or say what becomes of this one's
    Hosts {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        action: Option<HostsAction>,
    },
    /// Lend nothing of a pool for now; who waits keeps the place
    Pause {
        /// The pool
        #[arg(default_value = DEFAULT_POOL)]
        pool: String,
    },
    /// Lend the tokens of a paused pool again
    Resume {
        /// The pool
        #[arg(default_value = DEFAULT_POOL)]
        pool: String,
    },
    /// Cut off the connection that holds a slot
    Kill {
        /// The slot, as tokens shows it
        slot: u32,
        /// The pool
        #[arg(long, default_value = DEFAULT_POOL)]
        pool: String,
    },
    /// Make a token for the management API, and print it and its line for api.tokens_file
    ApiToken {
        /// Whose it is: 1 to 64 of A-Z a-z 0-9 . _ -
        name: String,
        /// What it may do: read, operate or admin
        role: ApiRole,
    },
    /// Log in again and replace the tokens of one user, or of all
    Refresh {
        /// The user [default: all]
        user: Option<String>,
        /// All users
        #[arg(long, conflicts_with = "user")]
        all: bool,
    },
    /// Read the configuration file again and put it in force
    Reload,
    /// Replace all workers one by one
    Restart,
    /// Start another executable in place of the running one, and replace all workers
    Upgrade {
        /// The executable [default: the file that tpp was started from]
        #[arg(value_hint = clap::ValueHint::FilePath)]
        path: Option<PathBuf>,
    },
    /// Check a configuration file, without a running tpp
    Check {
        /// The file
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SwitchOrder {
    /// The virtual host
    pub(crate) domain: String,
    /// The tag
    pub(crate) tag: String,
    /// So many percent of the clients [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) percent: Option<u32>,
    /// Only if a backend with the tag can serve
    #[arg(long)]
    pub(crate) require_healthy: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DrainOrder {
    /// The backend
    pub(crate) id: String,
    /// Have it serve again
    #[arg(long)]
    pub(crate) end: bool,
    /// Wait until nothing is under way to it any more
    #[arg(long, conflicts_with = "end")]
    wait: bool,
    /// How long to wait at most
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "wait",
        default_value_if("wait", "true", "60"),
        value_parser = clap::value_parser!(u64).range(DEADLINES)
    )]
    pub(crate) deadline: Option<u64>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum HostsAction {
    /// Give all sessions away as they fall free
    Drain {
        /// Take part again instead
        #[arg(long)]
        end: bool,
    },
    /// Give sessions to a host as they fall free
    Give {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        sessions: u32,
        /// To whom
        host: String,
    },
    /// Let others have all sessions of a host that is off
    Release {
        /// The host
        host: String,
        /// You know that it is off: no process of it runs, and none will go on where it was
        #[arg(long, required = true)]
        it_is_off: bool,
    },
    /// Take the etcd that is there for right, after a restore: no host may lend from what it knew before
    Adopt,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum GatewayAction {
    /// Print pools, backends and virtual hosts, with what was changed by API, as TOML without secrets
    Export,
}

impl Args {
    /// The control socket: the flag, else `environment` (`TPP_CONTROL_SOCKET`) if not empty, else the default.
    pub(crate) fn socket(&self, environment: Option<OsString>) -> PathBuf {
        let environment = environment
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        self.socket
            .clone()
            .or(environment)
            .unwrap_or_else(|| DEFAULT_SOCKET.into())
    }

    /// How long to wait for the answer to `command`.
    pub(crate) fn timeout(&self, command: &Command) -> Duration {
        self.timeout.unwrap_or(match command {
            Command::Status
            | Command::Workers
            | Command::Tokens
            | Command::Pools
            | Command::Report
            | Command::Times
            | Command::Hosts
            | Command::OrderHosts(_)
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::EndLease { .. }
            | Command::Export => QUESTION_TIMEOUT,
            // The supervisor answers in time.
            Command::AwaitEmpty { seconds, .. } => {
                Duration::from_secs(*seconds).saturating_add(QUESTION_TIMEOUT)
            }
            Command::Refresh { .. }
            | Command::Switch { .. }
            | Command::SetState { .. }
            | Command::Reload
            | Command::Restart
            | Command::Upgrade { .. } => ORDER_TIMEOUT,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    const RANGE: std::ops::RangeInclusive<f64> = 0.1..=86400.0;
    match text.parse::<f64>() {
        Ok(seconds) if RANGE.contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!(
            "expected seconds, {} to {}",
            RANGE.start(),
            RANGE.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[track_caller]
    fn watch(line: &str) -> (bool, Option<Duration>) {
        match parse(line).unwrap().action {
            Action::Status { json, watch } => (json, watch),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn watch_takes_seconds_or_none() {
        assert_eq!(watch("tppctl status"), (false, None));
        assert_eq!(
            watch("tppctl status --watch"),
            (false, Some(Duration::from_secs(1)))
        );
        assert_eq!(
            watch("tppctl status --watch 2.5"),
            (false, Some(Duration::from_millis(2500)))
        );
        assert_eq!(
            watch("tppctl status --watch --json"),
            (true, Some(Duration::from_secs(1)))
        );
    }

    #[test]
    fn wrong_use_is_exit_code_2() {
        for line in [
            "tppctl",
            "tppctl stop",
            "tppctl check",
            "tppctl status --watch 0",
            "tppctl status --watch NaN",
            "tppctl reload --timeout inf",
            "tppctl refresh user1 --all",
            "tppctl refresh user1 user2",
            "tppctl switch a.test",
            "tppctl switch a.test b --percent 101",
            "tppctl gateway",
            "tppctl drain",
            "tppctl drain a --deadline 60",
            "tppctl drain a --wait --deadline 0",
            "tppctl drain a --wait --end",
            "tppctl kill",
            "tppctl kill x",
            "tppctl api-token ci",
            "tppctl api-token ci owner",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("tppctl --version").unwrap_err().exit_code(), 0);
        assert_eq!(parse("tppctl --help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn the_flag_outranks_the_environment_and_that_the_default() {
        let bare = parse("tppctl reload").unwrap();
        assert_eq!(bare.socket(None).to_str(), Some(DEFAULT_SOCKET));
        assert_eq!(bare.socket(Some("".into())).to_str(), Some(DEFAULT_SOCKET));
        assert_eq!(bare.socket(Some("/a".into())).to_str(), Some("/a"));
        let flagged = parse("tppctl reload --socket /b").unwrap();
        assert_eq!(flagged.socket(Some("/a".into())).to_str(), Some("/b"));
    }

    #[test]
    fn an_order_may_take_longer_than_a_question() {
        let bare = parse("tppctl reload").unwrap();
        assert_eq!(bare.timeout(&Command::Status), QUESTION_TIMEOUT);
        assert_eq!(bare.timeout(&Command::Reload), ORDER_TIMEOUT);
        let flagged = parse("tppctl --timeout 3 reload").unwrap();
        assert_eq!(flagged.timeout(&Command::Reload), Duration::from_secs(3));
    }
}
