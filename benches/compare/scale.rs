//! (e): tpp with a thousand backends and a thousand hosts: how long a start, a reload and a look at the metrics take, and what
//! it holds in memory.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tpp::control::{self, Command, Reply};

use crate::{
    Result, http,
    servers::{self, Server, TPP_NAMES},
    stats::Summary,
};

const ENTRIES: usize = 1000;
const LOOKS: usize = 20;
const RELOADS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures each of `builds` with 2 workers.
pub(crate) fn run(builds: &[PathBuf], dir: &Path) -> Result<()> {
    println!("\n(e) scale: {ENTRIES} backends and {ENTRIES} hosts, 2 workers");
    println!(
        "{:<9}{:>10}{:>24}{:>24}{:>14}{:>16}",
        "", "start s", "reload ms", "/metrics ms", "/metrics KiB", "memory MiB"
    );
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    for (name, executable) in TPP_NAMES.into_iter().zip(builds) {
        measure(dir, name, executable, &upstream)?;
    }
    Ok(())
}

fn measure(dir: &Path, name: &'static str, executable: &Path, upstream: &Server) -> Result<()> {
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let (address, health) = (servers::free_address()?, servers::free_address()?);
    let text = |weight| configuration(&dir, (address, health), upstream, weight);
    let began = Instant::now();
    let server =
        servers::start_tpp_with(&dir, name, executable, (address, health), &text(1)?, None)?;
    let start = began.elapsed();

    let socket = dir.join("control.sock");
    let mut reloads = Vec::new();
    for round in 0..RELOADS {
        fs::write(dir.join("tpp.toml"), text(2 + round)?)?;
        let began = Instant::now();
        match control::client::ask(&socket, Command::Reload, PATIENCE)? {
            Reply::Done(_) => reloads.push(began.elapsed().as_secs_f64() * 1e3),
            other => return Err(format!("{name}: the reload: {other:?}").into()),
        }
    }
    let mut looks = Vec::new();
    let mut length = 0;
    for _ in 0..LOOKS {
        let began = Instant::now();
        let (status, body) = http::get(health, "/metrics")?;
        looks.push(began.elapsed().as_secs_f64() * 1e3);
        if status != 200 {
            return Err(format!("{name}: /metrics answered {status}").into());
        }
        length = body.len();
    }
    let memory: u64 = server.program.memory()?.iter().map(|one| one.pss_kib).sum();
    println!(
        "{name:<9}{:>10.2}{:>24.0}{:>24.1}{:>14}{:>16.1}",
        start.as_secs_f64(),
        Summary::of(reloads),
        Summary::of(looks),
        length / 1024,
        memory as f64 / 1024.0
    );
    Ok(())
}

/// `weight` is one backend's, so that a reload has something to do.
fn configuration(
    dir: &Path,
    (address, health): (std::net::SocketAddr, std::net::SocketAddr),
    upstream: &Server,
    weight: usize,
) -> Result<String> {
    let mut text = format!(
        "listen = \"{address}\"\nhealth_listen = \"{health}\"\ncontrol_socket = \"{}\"\nstate_directory = \"{}\"\n\
         [workers]\ncount = 2\n[telemetry]\nlog_filter = \"error\"\n[health_check]\npath = \"/\"\n",
        dir.join("control.sock").display(),
        dir.display(),
    );
    for number in 0..ENTRIES {
        let weight = if number == 0 { weight } else { 1 };
        writeln!(
            text,
            "[[backends]]\nid = \"s{number}\"\naddress = \"{}\"\ntags = [\"t{number}\"]\npool = \"none\"\nweight = {weight}\n\
             [[virtual_hosts]]\ndomain = \"host-{number}.example\"\nenabled_backends_tag = \"t{number}\"",
            upstream.address
        )?;
    }
    Ok(text)
}
