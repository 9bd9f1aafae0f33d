//! (f): a steady load for minutes: 1,000 requests a second over 1,000 connections, minute by minute.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Result,
    load::Load,
    servers::{self, TPP_NAMES, TppSettings},
    stats::Summary,
};

const CONNECTIONS: usize = 1000;
const RATE: f64 = 1000.0;

/// Measures each of `builds` for so many spans of `span`.
pub(crate) fn run(builds: &[PathBuf], spans: usize, span: Duration, dir: &Path) -> Result<()> {
    println!(
        "\n(f) steady: {RATE:.0} requests/s over {CONNECTIONS} connections, {spans} times {} s, 2 workers",
        span.as_secs()
    );
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    for (name, executable) in TPP_NAMES.into_iter().zip(builds) {
        let settings = TppSettings {
            name,
            executable,
            workers: 2,
            sessions: CONNECTIONS,
            mode: "connection",
        };
        let server = servers::start_tpp(dir, &settings, upstream.address)?;
        let mut latest = Vec::new();
        for number in 1..=spans {
            let outcome = Load::Paced(RATE).run(server.address, CONNECTIONS, span, dir)?;
            let (p50, p99) = (milliseconds(outcome.p50), milliseconds(outcome.p99));
            println!(
                "{name:<9}{number:>4}{:>10} requests   p50 {p50:>7.2} ms   p99 {p99:>7.2} ms",
                outcome.requests
            );
            latest.push(p99);
        }
        println!(
            "{name:<9}p99 {:.2} ms: median (lowest-highest)",
            Summary::of(latest)
        );
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
