//! tpp beside nginx and HAProxy, on this machine, in one run: `make bench`. Where it is about TLS and HTTP/2, Caddy too.
//!
//! In all parts but (d) all three add a bearer token to each request and keep both sides' connections alive. They share the
//! upstream and the load, and take turns round by round. Prints tables; measures nothing by assertion.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

mod comparison;
mod crowd;
mod front;
mod gateway;
mod hosts;
mod http;
mod load;
mod machine;
mod memory;
mod occupancy;
mod pairs;
mod process;
mod scale;
mod servers;
mod shown;
mod slow_upstream;
mod stats;
mod steady;
mod training;
mod watching;

use comparison::Plan;
use servers::TPP_NAMES;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures tpp, nginx and HAProxy side by side.
#[derive(Debug, Parser)]
struct Args {
    /// Fewer and shorter rounds: shows that it works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// The release build of tpp; by default the one beside this program. Said again, the comparison
    /// takes in other builds too; the rest is measured on the first.
    #[arg(long, conflicts_with = "without_tpp")]
    tpp: Vec<PathBuf>,
    /// Measure nginx and HAProxy alone.
    #[arg(long)]
    without_tpp: bool,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Comparison, Part::Builds, Part::Occupancy, Part::Gateway, Part::Scale, Part::Memory, Part::Watching, Part::Tls, Part::Http2, Part::Hosts])]
    parts: Vec<Part>,
    /// Client connections, for the comparison.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests per second at the fixed rate; kept to 60 % of what the slowest proxy reaches.
    #[arg(long, default_value_t = 8000.0)]
    rate: f64,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// (b) requests per second, latency and processor time per request
    Comparison,
    /// (b) builds of tpp each beside the first, both under load at once, where there are several
    Builds,
    /// (c) served per second of T tokens, against T/S
    Occupancy,
    /// (d) a hundred hosts with limits, breakers and rates over four backends
    Gateway,
    /// (e) a thousand backends and hosts: reload, metrics, memory
    Scale,
    /// memory at rest and with idle connections
    Memory,
    /// (f) 1,000 requests a second over 1,000 connections, minute by minute
    Steady,
    /// (g) what logs, scrapes and traces cost
    Watching,
    /// (h) TLS: handshakes, full and resumed, and requests over connections that are kept
    Tls,
    /// (i) HTTP/2 over TLS with a hundred streams
    Http2,
    /// (j) one of many hosts, beside the same tpp alone
    Hosts,
    /// nothing: a load for a profile-guided build to learn from
    Training,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    process::stop_all_on_interrupt(scratch.path().to_owned())?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let builds = find_tpp(args)?;
    let tpp = builds.first().map(PathBuf::as_path);
    machine::print(&builds)?;

    let plan = |rounds, seconds| Plan {
        rounds,
        round: Duration::from_secs(seconds),
        connections: args.connections,
    };
    let usual = if args.quick { plan(2, 2) } else { plan(5, 5) };
    if args.parts.contains(&Part::Comparison) {
        let (two, one) = if args.quick {
            (plan(2, 2), None)
        } else {
            (plan(5, 5), Some(plan(5, 2)))
        };
        comparison::run(&builds, 2, two, args.rate, scratch.path())?;
        if let Some(one) = one {
            comparison::run(&builds, 1, one, args.rate, scratch.path())?;
        }
    }
    if args.parts.contains(&Part::Occupancy) {
        let (settings, milliseconds) = if args.quick {
            (&occupancy::SETTINGS[..1], 600)
        } else {
            (&occupancy::SETTINGS[..], 1600)
        };
        let window = Duration::from_millis(milliseconds);
        occupancy::run(tpp, settings, window, scratch.path())?;
    }
    if args.parts.contains(&Part::Gateway) {
        gateway::run(&builds, 2, usual, scratch.path())?;
    }
    if args.parts.contains(&Part::Scale) {
        scale::run(&builds, scratch.path())?;
    }
    if args.parts.contains(&Part::Memory) {
        let dir = tempfile::tempdir_in(scratch.path())?;
        memory::run(tpp, dir.path())?;
    }
    if args.parts.contains(&Part::Steady) {
        let span = Duration::from_secs(if args.quick { 10 } else { 60 });
        steady::run(&builds, 5, span, scratch.path())?;
    }
    run_newer(args, &builds, usual, scratch.path())?;
    if args.parts.contains(&Part::Training) {
        training::run(
            tpp.ok_or("training is tpp's own")?,
            Duration::from_secs(5),
            scratch.path(),
        )?;
    }
    Ok(())
}

/// What came after the first parts.
fn run_newer(args: &Args, builds: &[PathBuf], plan: Plan, scratch: &Path) -> Result<()> {
    let tpp = builds.first().map(PathBuf::as_path);
    let turns = if args.quick { 3 } else { 40 };
    if args.parts.contains(&Part::Builds) && builds.len() > 1 {
        let size = (turns, args.connections);
        comparison::run_builds(builds, 2, size, args.rate, scratch)?;
    }
    if let Some(tpp) = tpp.filter(|_| args.parts.contains(&Part::Watching)) {
        watching::run(tpp, 2, turns, args.connections, scratch)?;
    }
    if let Some(tpp) = tpp.filter(|_| args.parts.contains(&Part::Hosts)) {
        hosts::run(tpp, 2, plan, scratch)?;
    }
    if args.parts.contains(&Part::Tls) || args.parts.contains(&Part::Http2) {
        let parts = [Part::Tls, Part::Http2].map(|part| args.parts.contains(&part));
        front::run(builds, 2, plan, parts, scratch)?;
    }
    Ok(())
}

/// The executables to measure.
fn find_tpp(args: &Args) -> Result<Vec<PathBuf>> {
    let builds = if args.without_tpp {
        Vec::new()
    } else if args.tpp.is_empty() {
        // This program lies in target/release/deps.
        let here = std::env::current_exe()?;
        vec![
            here.ancestors()
                .nth(2)
                .ok_or("no place to look for tpp")?
                .join("tpp"),
        ]
    } else {
        args.tpp.clone()
    };
    if builds.len() > TPP_NAMES.len() {
        return Err(format!("--tpp: at most {} builds", TPP_NAMES.len()).into());
    }
    match builds.iter().find(|build| !build.is_file()) {
        None => Ok(builds),
        Some(missing) => {
            let advice = "cargo build --release -p tpp-program builds it";
            Err(format!("{} is not there; {advice}", missing.display()).into())
        }
    }
}
