//! `tpp`: the supervisor, and, started again by itself, the worker.

mod cli;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser;
use tpp::{
    config::{self, ProcessVars},
    handover, signals,
};
use tpp_supervisor::{
    dev, rehearsal, run,
    succession::upgrade,
    system::{limits, logging::Log},
};

use crate::cli::{CheckArgs, Cli, Command, ConfigArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// sysexits.h: something is wrong with the configuration.
const EX_CONFIG: u8 = 78;

/// Where a configuration is looked for that no argument names: the package's, and what containers of tpp 0.1.x have mounted.
const CONFIG_FILES: [&str; 2] = ["/etc/tpp/tpp.toml", "/app/config.yaml"];

fn main() -> ExitCode {
    // First of all: a signal may come any moment from exec on, and its reader is there only later.
    if let Err(errno) = signals::hold_back() {
        return exit_code(Err(errno).context("hold signals back"));
    }
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => {
            limits::take_name();
            // Before anything is opened: the numbers of what is inherited are still its own.
            let inherited = handover::receive();
            with_config(&args, |config| {
                let log = Log::begin(&config.telemetry)?;
                limits::prepare();
                let inherited = inherited.context("take over what was inherited")?;
                let ended = run::run(config, config_file(&args), log.clone(), inherited);
                log.flush();
                ended
            })
        }
        Command::Check(args) => check(&args),
        Command::Dev(args) => exit_code(dev::run(args)),
        Command::Worker(args) => exit_code(tpp_worker::run(args)),
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    // It serves nobody: whoever interrupts it means it.
    if let Err(errno) = signals::let_through() {
        return exit_code(Err(errno).context("let signals through"));
    }
    with_config(&args.config, |config| {
        if let Some(format) = args.takes_over {
            return upgrade::say_takes_over(format, &config);
        }
        for warning in config.warnings() {
            eprintln!("tpp: warning: {warning}");
        }
        println!("{}: ok", config_file(&args.config).display());
        if args.login {
            rehearsal::run(&config)?;
        }
        Ok(())
    })
}

/// The file to read: what is named, or the first of the usual ones that is there. It need not exist.
fn config_file(args: &ConfigArgs) -> PathBuf {
    args.config.clone().unwrap_or_else(|| {
        let place = CONFIG_FILES
            .into_iter()
            .find(|place| Path::new(place).exists());
        place.unwrap_or(CONFIG_FILES[0]).into()
    })
}

fn with_config(
    args: &ConfigArgs,
    then: impl FnOnce(config::Config) -> anyhow::Result<()>,
) -> ExitCode {
    match config::load(&config_file(args), &ProcessVars) {
        Ok(config) => match run::check_hosts(&config) {
            Ok(()) => exit_code(then(config)),
            Err(why) => {
                eprintln!("tpp: {why}");
                ExitCode::from(EX_CONFIG)
            }
        },
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
        Err(error) if error.is::<run::Refused>() => {
            eprintln!("tpp: {error:#}");
            ExitCode::from(EX_CONFIG)
        }
        Err(error) => {
            eprintln!("tpp: {error:#}");
            ExitCode::FAILURE
        }
    }
}
