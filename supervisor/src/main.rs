//! `tpp`: the supervisor, and, started again by itself, the worker.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tpp::{
    config::{self, ProcessVars},
    handover,
};
use tpp_supervisor::{dev, limits, logging::Log, run, succession::upgrade};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// sysexits.h: something is wrong with the configuration.
const EX_CONFIG: u8 = 78;

/// A reverse proxy that lends each connection a token of its own.
#[derive(Debug, Parser)]
#[command(name = "tpp", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: ConfigArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file, TOML or YAML
    #[arg(long, short, value_name = "FILE", default_value = "/etc/tpp/tpp.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Asked by a running tpp: whether this executable can take its place
    #[arg(long, value_name = "FORMAT", hide = true)]
    takes_over: Option<u32>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs in the foreground (the same as no command)
    Run(ConfigArgs),
    /// Checks a configuration file and says all that is wrong with it
    Check(CheckArgs),
    /// Runs the whole thing on loopback, with an embedded stand-in for DolphinDB
    Dev(dev::DevArgs),
    #[command(hide = true)]
    Worker(tpp_worker::WorkerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => {
            // Before anything is opened: the numbers of what is inherited are still its own.
            let inherited = handover::receive_estate();
            with_config(&args, |config| {
                let log = Log::begin(&config.telemetry)?;
                limits::prepare();
                let inherited = inherited.context("take over what was inherited")?;
                run::run(config, args.config.clone(), log, inherited)
            })
        }
        Command::Check(args) => with_config(&args.config, |config| {
            if let Some(format) = args.takes_over {
                return upgrade::say_takes_over(format);
            }
            for warning in config.warnings() {
                eprintln!("tpp: warning: {warning}");
            }
            println!("{}: ok", args.config.config.display());
            Ok(())
        }),
        Command::Dev(args) => exit_code(dev::run(args)),
        Command::Worker(args) => exit_code(tpp_worker::run(args)),
    }
}

fn with_config(
    args: &ConfigArgs,
    then: impl FnOnce(config::Config) -> anyhow::Result<()>,
) -> ExitCode {
    match config::load(&args.config, &ProcessVars) {
        Ok(config) => exit_code(then(config)),
        Err(problems) => {
            eprintln!("{problems}");
            // A file that cannot be read is a failure like any other, a wrong one a configuration error.
            ExitCode::from(if problems.is_unreadable() {
                1
            } else {
                EX_CONFIG
            })
        }
    }
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tpp: {error:#}");
            ExitCode::FAILURE
        }
    }
}
