//! HAProxy.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use super::{Server, TOKEN, find, free_address, write};
use crate::{Result, process::Program, shown::Shown};

/// HAProxy as a proxy that adds the token, both sides kept alive. `queue`: at most so many requests at
/// the upstream at once, the others wait in line.
pub(crate) fn start_haproxy(
    dir: &Path,
    threads: usize,
    upstream: SocketAddr,
    queue: Option<usize>,
) -> Result<Server> {
    start_haproxy_as("haproxy", dir, haproxy_head(threads), upstream, queue)
}

/// The same under another name, with a head of its own.
pub(crate) fn start_haproxy_as(
    name: &'static str,
    dir: &Path,
    head: String,
    upstream: SocketAddr,
    queue: Option<usize>,
) -> Result<Server> {
    start_haproxy_bound(name, dir, &head, upstream, queue, "")
}

/// HAProxy as such a proxy over TLS, with HTTP/2.
pub(crate) fn start_haproxy_front(
    dir: &Path,
    threads: usize,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let bound = format!("ssl crt {} alpn h2,http/1.1", shown.both.display());
    start_haproxy_bound(
        "haproxy",
        dir,
        &haproxy_head(threads),
        upstream,
        None,
        &bound,
    )
}

fn start_haproxy_bound(
    name: &'static str,
    dir: &Path,
    head: &str,
    upstream: SocketAddr,
    queue: Option<usize>,
    bound: &str,
) -> Result<Server> {
    let address = free_address()?;
    let limit = queue
        .map(|limit| format!("maxconn {limit}"))
        .unwrap_or_default();
    let configuration = format!(
        "{head}frontend clients
    bind {address} {bound} backlog 4096
    default_backend servers
backend servers
    http-request set-header Authorization \"Bearer {TOKEN}\"
    server upstream {upstream} pool-purge-delay 300s {limit}
"
    );
    launch_haproxy(name, dir, address, &configuration)
}

/// What every HAProxy here begins with.
pub(crate) fn haproxy_head(threads: usize) -> String {
    format!(
        "global
    nbthread {threads}
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout queue 300s
    option http-keep-alive
    http-reuse always
"
    )
}

/// HAProxy with this whole configuration, which binds `address`.
pub(crate) fn start_haproxy_with(
    dir: &Path,
    address: SocketAddr,
    configuration: &str,
) -> Result<Server> {
    launch_haproxy("haproxy", dir, address, configuration)
}

fn launch_haproxy(
    name: &'static str,
    dir: &Path,
    address: SocketAddr,
    configuration: &str,
) -> Result<Server> {
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let file = write(&dir, "haproxy.cfg", configuration)?;
    let mut command = Command::new(find("haproxy")?);
    command.args(["-db", "-f"]).arg(file);
    let mut program = Program::start(name, command, &dir)?;
    program.wait_for_listener(address)?;
    Ok(Server { program, address })
}
