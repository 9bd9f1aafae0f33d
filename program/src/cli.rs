//! The command line of `tpp`. A file of its own, as the manual page and the completions are made from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use tpp_supervisor::dev;

/// A reverse proxy that lends each connection a token of its own.
#[derive(Debug, Parser)]
#[command(name = "tpp", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) run: ConfigArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file, TOML or YAML [default: /etc/tpp/tpp.toml, or where that is missing /app/config.yaml, as containers
    /// of tpp 0.1.x had it]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Also log each account in once, and say what its server said; sessions are logged out again where there is a log-out
    #[arg(long)]
    pub(crate) login: bool,
    /// Asked by a running tpp: whether this executable can take its place
    #[arg(long, value_name = "FORMAT", hide = true)]
    pub(crate) takes_over: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs in the foreground (the same as no command)
    Run(ConfigArgs),
    /// Checks a configuration file and says all that is wrong with it
    Check(CheckArgs),
    /// Runs the whole thing on loopback, with an embedded stand-in for DolphinDB
    Dev(dev::DevArgs),
    #[command(hide = true)]
    Worker(tpp_worker::WorkerArgs),
}
