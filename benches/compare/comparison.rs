//! (b): the same load on each proxy in turn, round after round.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Result,
    load::{Load, Outcome},
    pairs::{self, Pair},
    process::CpuUse,
    servers::{self, Server, TPP_NAMES, TppSettings},
    stats::Summary,
};

/// How long each proxy is measured, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
    pub(crate) connections: usize,
}

/// All rounds of one proxy.
#[derive(Debug)]
pub(crate) struct Measured {
    name: &'static str,
    rounds: Vec<(Outcome, CpuUse)>,
}

impl Measured {
    fn summary(&self, of: impl Fn(&(Outcome, CpuUse)) -> f64) -> Summary {
        Summary::of(self.rounds.iter().map(of))
    }

    /// Median of the requests per second.
    fn rate(&self) -> f64 {
        self.summary(rate).median
    }
}

/// Measures nginx, HAProxy and each of `builds` with `workers` processes or threads, first as fast as they
/// go, then at a rate that all can keep, `most` requests a second or less, then with a new connection for each request.
pub(crate) fn run(
    builds: &[PathBuf],
    workers: usize,
    plan: Plan,
    most: f64,
    dir: &Path,
) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    let proxies = start_proxies(builds, workers, plan.connections, upstream.address, dir)?;
    let shown = |what: &str, load| {
        let what = format!("(b) {what}, {workers} worker(s) each");
        show(&what, &proxies, load, plan, dir)
    };
    let saturated = shown("as fast as it goes", Load::Saturating)?;
    // At saturation a proxy finds several requests at each look; below it, what a look costs shows as well.
    let slowest = saturated
        .iter()
        .map(Measured::rate)
        .fold(f64::INFINITY, f64::min);
    let rate = most.min((slowest * 0.6 / 500.0).floor() * 500.0);
    shown(&format!("{rate:.0} requests/s"), Load::Paced(rate))?;
    shown("a new connection for each request", Load::Anew)?;
    Ok(())
}

/// Measures `builds`, at least two of them, each beside the first, as [`run`] does.
pub(crate) fn run_builds(
    builds: &[PathBuf],
    workers: usize,
    (turns, connections): (usize, usize),
    rate: f64,
    dir: &Path,
) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    let proxies = start_builds(builds, workers, connections, upstream.address, dir)?;
    proxies.iter().try_for_each(Server::check_token)?;
    let (first, others) = proxies.split_first().ok_or("no build of tpp")?;
    let pairs: Vec<_> = others
        .iter()
        .map(|other| Pair {
            plain: first,
            further: other,
        })
        .collect();
    // Both at once.
    let rate = rate / 2.0;
    for (what, load) in [
        ("as fast as it goes".to_owned(), Load::Saturating),
        (format!("{rate:.0} requests/s"), Load::Paced(rate)),
        ("a new connection for each request".to_owned(), Load::Anew),
    ] {
        let what = format!("(b) builds, {what}, {workers} worker(s) each");
        pairs::show(&what, &pairs, load, turns, connections, dir)?;
    }
    Ok(())
}

fn start_proxies(
    builds: &[PathBuf],
    workers: usize,
    sessions: usize,
    upstream: SocketAddr,
    dir: &Path,
) -> Result<Vec<Server>> {
    let mut proxies = vec![
        servers::start_nginx_proxy(dir, workers, upstream)?,
        servers::start_haproxy(dir, workers, upstream, None)?,
    ];
    proxies.extend(start_builds(builds, workers, sessions, upstream, dir)?);
    proxies.iter().try_for_each(Server::check_token)?;
    Ok(proxies)
}

fn start_builds(
    builds: &[PathBuf],
    workers: usize,
    sessions: usize,
    upstream: SocketAddr,
    dir: &Path,
) -> Result<Vec<Server>> {
    let started = TPP_NAMES.into_iter().zip(builds).map(|(name, executable)| {
        let settings = TppSettings {
            name,
            executable,
            workers,
            sessions,
            mode: "connection",
        };
        servers::start_tpp(dir, &settings, upstream)
    });
    started.collect()
}

/// Measures `proxies` under `load` and prints them side by side, as `what`.
pub(crate) fn show(
    what: &str,
    proxies: &[Server],
    load: Load,
    plan: Plan,
    dir: &Path,
) -> Result<Vec<Measured>> {
    let measured = measure(proxies, load, plan, dir)?;
    let title = format!(
        "{what}, {} connections; median (lowest-highest) of {} interleaved rounds of {} s",
        plan.connections,
        plan.rounds,
        plan.round.as_secs()
    );
    print(&title, &measured);
    Ok(measured)
}

/// Puts `load` on each of `proxies` in turn, so that what disturbs the machine disturbs all of them.
fn measure(proxies: &[Server], load: Load, plan: Plan, dir: &Path) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = proxies
        .iter()
        .map(|proxy| Measured {
            name: proxy.program.name(),
            rounds: Vec::new(),
        })
        .collect();
    for proxy in proxies {
        load.run(proxy.address, plan.connections, Duration::from_secs(1), dir)?;
    }
    for _ in 0..plan.rounds {
        for (proxy, measured) in proxies.iter().zip(&mut measured) {
            let named = |error| format!("{}: {error}", measured.name);
            let before = proxy.program.cpu()?;
            let outcome = load
                .run(proxy.address, plan.connections, plan.round, dir)
                .map_err(named)?;
            let cpu = proxy.program.cpu()?.since(&before).map_err(named)?;
            measured.rounds.push((outcome, cpu));
        }
    }
    Ok(measured)
}

/// Prints the proxies side by side. The ratio is taken round by round, against the HAProxy of that round, or without one against the first.
fn print(title: &str, measured: &[Measured]) {
    println!("\n{title}");
    let haproxy = measured.iter().find(|proxy| proxy.name == "haproxy");
    let reference = haproxy.or(measured.first());
    let against = match (haproxy, reference) {
        (None, Some(first)) => format!("CPU to {}", first.name),
        _ => "CPU to HAProxy".to_owned(),
    };
    println!(
        "{:<16}{:>23}{:>22}{:>24}{:>22}{:>19}{:>9}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", against, "busiest"
    );
    for proxy in measured {
        let ratio = reference.map(|reference| {
            Summary::of(
                proxy
                    .rounds
                    .iter()
                    .zip(&reference.rounds)
                    .map(|(own, other)| cost(own) / cost(other)),
            )
        });
        println!(
            "{:<16}{:>23.0}{:>22.2}{:>24.2}{:>22.1}{:>19}{:>7.0} %",
            proxy.name,
            proxy.summary(rate),
            proxy.summary(|(outcome, _)| outcome.p50.as_secs_f64() * 1e3),
            proxy.summary(|(outcome, _)| outcome.p99.as_secs_f64() * 1e3),
            proxy.summary(cost),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            proxy.summary(|(_, cpu)| cpu.busiest * 100.0).median,
        );
    }
}

fn rate((outcome, _): &(Outcome, CpuUse)) -> f64 {
    outcome.requests as f64 / outcome.elapsed.as_secs_f64()
}

/// Processor microseconds per request.
fn cost((outcome, cpu): &(Outcome, CpuUse)) -> f64 {
    cpu.total.as_secs_f64() * 1e6 / outcome.requests as f64
}
