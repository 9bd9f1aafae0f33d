//! Memory: what each process holds at rest, and with idle connections.

use std::path::Path;

use crate::{
    Result, http, load,
    process::ProcessMemory,
    servers::{self, Server, TPP_NAMES, TppSettings},
};

/// Idle connections, each of which has had one answer.
const CONNECTIONS: usize = 1000;

/// Measures tpp with 2 workers and a token for each connection, and the others beside it.
pub(crate) fn run(tpp: Option<&Path>, dir: &Path) -> Result<()> {
    println!(
        "\nMemory: proportional set size in MiB, at rest and with {CONNECTIONS} idle connections"
    );
    println!(
        "{:<9}{:<16}{:>10}{:>10}{:>22}",
        "", "process", "at rest", "idle", "KiB per connection"
    );
    let upstream = servers::start_upstream(dir)?;
    let mut proxies = vec![
        servers::start_nginx_proxy(dir, 2, upstream.address)?,
        servers::start_haproxy(dir, 2, upstream.address, None)?,
    ];
    if let Some(executable) = tpp {
        let settings = TppSettings {
            name: TPP_NAMES[0],
            executable,
            workers: 2,
            sessions: CONNECTIONS,
            mode: "connection",
        };
        proxies.push(servers::start_tpp(dir, &settings, upstream.address)?);
    }
    proxies.iter().try_for_each(print_growth)
}

fn print_growth(server: &Server) -> Result<()> {
    server.check_token()?;
    let at_rest = server.program.memory()?;
    let connections = load::open(server.address, CONNECTIONS, &http::request("/", ""))?;
    let idle = server.program.memory()?;
    drop(connections);
    let name = server.program.name();
    for (before, after) in at_rest.iter().zip(&idle) {
        println!(
            "{name:<9}{:<16}{:>10.1}{:>10.1}",
            before.name,
            mebibytes(before.pss_kib),
            mebibytes(after.pss_kib)
        );
    }
    let sum =
        |processes: &[ProcessMemory]| processes.iter().map(|process| process.pss_kib).sum::<u64>();
    let (before, after) = (sum(&at_rest), sum(&idle));
    let each = after.saturating_sub(before) as f64 / CONNECTIONS as f64;
    println!(
        "{name:<9}{:<16}{:>10.1}{:>10.1}{each:>22.1}",
        "all",
        mebibytes(before),
        mebibytes(after)
    );
    Ok(())
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
