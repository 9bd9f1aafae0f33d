//! `tppctl`: asks a running tpp, or orders it, over its control socket.

mod args;
mod commands;
mod render;
mod terminal;
mod top;
mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

/// A configuration error, after sysexits.h.
const EX_CONFIG: u8 = 78;

/// Why nothing more is done.
#[derive(Debug)]
enum Failure {
    /// It failed; one line says why.
    Line(String),
    /// A configuration is wrong; one line a problem.
    Config(Vec<String>),
    /// The status was shown, and is an unhealthy one.
    Unhealthy,
    /// Standard output takes no more.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// What to tell, free of anything that could drive the terminal.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Line(line) => vec![render::visible(line).into()],
            Self::Config(problems) => problems
                .iter()
                .map(|line| render::visible(line).into())
                .collect(),
            // What is wrong stands in the status itself.
            Self::Unhealthy => Vec::new(),
            Self::Output(error) => vec![format!("standard output: {error}")],
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            // Who closed the pipe has read enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Config(_) => EX_CONFIG.into(),
            Self::Line(_) | Self::Unhealthy | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // Nobody is left to tell if this does not print.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let Err(failure) = commands::run(&args) else {
        return ExitCode::SUCCESS;
    };
    let code = failure.exit_code();
    if code != ExitCode::SUCCESS {
        let mut stderr = io::stderr().lock();
        for line in failure.lines() {
            // Its loss must not change the exit code.
            let _ = writeln!(stderr, "tppctl: {line}");
        }
    }
    code
}
