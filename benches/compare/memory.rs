//! Memory: what each process holds at rest, and with idle connections.

use std::path::Path;

use crate::{
    Result, http, load,
    process::ProcessMemory,
    servers::{self, Server, TPP_NAMES, TppSettings},
};

/// Idle connections, each of which has had one answer.
const CONNECTIONS: usize = 1000;
/// Tokens of a tpp that is at rest and small.
const FEW: usize = 16;

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
        let start = |name, sessions| {
            let settings = TppSettings {
                name,
                executable,
                workers: 2,
                sessions,
                mode: "connection",
            };
            servers::start_tpp(dir, &settings, upstream.address)
        };
        print_rest(&start("tpp-few", FEW)?)?;
        proxies.push(start(TPP_NAMES[0], CONNECTIONS)?);
    }
    proxies.iter().try_for_each(print_growth)
}

/// What a tpp with few tokens holds.
fn print_rest(server: &Server) -> Result<()> {
    server.check_token()?;
    let what = format!("{FEW} tokens");
    let all = sum(&server.program.memory()?);
    println!("{:<9}{what:<16}{:>10.1}", "tpp", mebibytes(all));
    Ok(())
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

fn sum(processes: &[ProcessMemory]) -> u64 {
    processes.iter().map(|process| process.pss_kib).sum()
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
