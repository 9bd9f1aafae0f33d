//! (h) and (i): the front door. The same certificate, version of TLS and cipher for all; each adds a token, and both sides are kept alive.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Result,
    comparison::{self, Plan},
    load::Load,
    servers::{self, Server, TPP_NAMES, TppSettings},
    shown::{CIPHER, Shown},
};

/// Connections that have a handshake at once.
const NEWCOMERS: usize = 16;
/// Connections of HTTP/2, and streams at once on each.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 100;

/// Measures each proxy with `workers` processes or threads: TLS, HTTP/2, or both.
pub(crate) fn run(
    builds: &[PathBuf],
    workers: usize,
    plan: Plan,
    [tls, http2]: [bool; 2],
    dir: &Path,
) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    let shown = Shown::make(dir)?;
    let mut proxies = vec![
        servers::start_nginx_front(dir, workers, upstream.address, &shown)?,
        servers::start_haproxy_front(dir, workers, upstream.address, &shown)?,
        servers::start_caddy_front(dir, workers, upstream.address, &shown)?,
    ];
    for (name, executable) in TPP_NAMES.into_iter().zip(builds) {
        let settings = TppSettings {
            name,
            executable,
            workers,
            sessions: plan.connections.max(CONNECTIONS * STREAMS),
            mode: "connection",
        };
        let server = servers::start_tpp_front(dir, &settings, upstream.address, &shown)?;
        proxies.push(server);
    }
    if tls {
        let newcomers = Plan {
            connections: NEWCOMERS,
            ..plan
        };
        for (resumed, kind) in [(false, "full"), (true, "resumed")] {
            let what = format!("(h) {kind} handshakes, each with one request");
            let load = Load::Handshakes { resumed };
            measure(&what, &proxies, load, newcomers, dir)?;
        }
        let what = "(h) requests over TLS, as fast as it goes";
        measure(what, &proxies, Load::Secure, plan, dir)?;
    }
    if http2 {
        let what = format!("(i) HTTP/2 over TLS, {STREAMS} streams at once on each");
        let few = Plan {
            connections: CONNECTIONS,
            ..plan
        };
        measure(&what, &proxies, Load::Streams(STREAMS), few, dir)?;
    }
    Ok(())
}

/// Puts each load on tpp alone, for `duration`.
pub(crate) fn load_alone(
    executable: &Path,
    upstream: &Server,
    duration: Duration,
    dir: &Path,
) -> Result<()> {
    let shown = Shown::make(dir)?;
    let settings = TppSettings {
        name: TPP_NAMES[0],
        executable,
        workers: 2,
        sessions: CONNECTIONS * STREAMS,
        mode: "connection",
    };
    let tpp = servers::start_tpp_front(dir, &settings, upstream.address, &shown)?;
    for (load, connections) in [
        (Load::Handshakes { resumed: false }, NEWCOMERS),
        (Load::Handshakes { resumed: true }, NEWCOMERS),
        (Load::Secure, 64),
        (Load::Streams(STREAMS), CONNECTIONS),
    ] {
        load.run(tpp.address, connections, duration, dir)?;
    }
    Ok(())
}

fn measure(what: &str, proxies: &[Server], load: Load, plan: Plan, dir: &Path) -> Result<()> {
    comparison::show(&format!("{what}, {CIPHER}"), proxies, load, plan, dir)?;
    Ok(())
}
