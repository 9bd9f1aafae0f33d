//! (d): a gateway's work: a hundred hosts, each with a limit, a breaker and a rate, over four backends without tokens.
//!
//! HAProxy does it with a map of hosts, a stick table for the rate, `maxconn` for the limit and `observe` for the breaker; nginx
//! with `limit_conn`, `limit_req` and `max_fails`. Both count a limit in each worker or server alone, tpp over all workers.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    comparison::{self, Plan},
    load::{Load, host},
    servers::{self, Server, TPP_NAMES},
};

/// Host names that are asked for.
const HOSTS: usize = 100;
/// Servers behind each of them.
const BACKENDS: usize = 4;
/// Requests a second that nobody comes near: what is measured is the counting.
const RATE: u64 = 1_000_000;

/// Measures each proxy with `workers` processes or threads.
pub(crate) fn run(builds: &[PathBuf], workers: usize, plan: Plan, dir: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let (_upstream, backends) = start_backends(dir)?;
    let mut proxies = vec![
        start_nginx(dir, workers, &backends)?,
        start_haproxy(dir, workers, &backends)?,
    ];
    for (name, executable) in TPP_NAMES.into_iter().zip(builds) {
        proxies.push(start_tpp(dir, name, executable, workers, &backends)?);
    }
    let what = format!(
        "(d) gateway: {HOSTS} hosts, each with a limit, a breaker and a rate, over {BACKENDS} backends, {workers} worker(s) each"
    );
    comparison::show(&what, &proxies, Load::Hosts(HOSTS), plan, dir)?;
    Ok(())
}

/// tpp alone before its backends, and what is put on it.
pub(crate) fn start_alone(executable: &Path, dir: &Path) -> Result<(Server, Server, Load)> {
    let (upstream, backends) = start_backends(dir)?;
    let tpp = start_tpp(dir, TPP_NAMES[0], executable, 2, &backends)?;
    Ok((upstream, tpp, Load::Hosts(HOSTS)))
}

/// One nginx that listens at several addresses.
fn start_backends(dir: &Path) -> Result<(Server, Vec<SocketAddr>)> {
    let first = servers::free_address()?;
    let mut backends = vec![first];
    let mut inside = String::new();
    for _ in 1..BACKENDS {
        let address = servers::free_address()?;
        writeln!(inside, "listen {address} reuseport backlog=4096;")?;
        backends.push(address);
    }
    inside.push_str("location / { return 200 '{\"result\":3}'; }");
    let server = servers::start_nginx("backends", dir, 1, "", first, &inside)?;
    Ok((server, backends))
}

fn start_nginx(dir: &Path, workers: usize, backends: &[SocketAddr]) -> Result<Server> {
    let mut pool = format!(
        "limit_conn_zone $host zone=hosts:1m; limit_req_zone $binary_remote_addr$host zone=clients:1m rate={RATE}r/s;\n\
         map $host $served {{ default 0; "
    );
    for number in 0..HOSTS {
        write!(pool, "{} up; ", host(number))?;
    }
    pool.push_str("}\nupstream up { ");
    for backend in backends {
        write!(pool, "server {backend} max_fails=5 fail_timeout=30s; ")?;
    }
    pool.push_str("keepalive 256; keepalive_requests 1000000000; }");
    let location = format!(
        r#"location / {{
            if ($served = 0) {{ return 404; }}
            limit_conn hosts 1000;
            limit_req zone=clients burst={RATE} nodelay;
            proxy_pass http://$served;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}"#
    );
    servers::start_nginx(
        "nginx",
        dir,
        workers,
        &pool,
        servers::free_address()?,
        &location,
    )
}

fn start_haproxy(dir: &Path, threads: usize, backends: &[SocketAddr]) -> Result<Server> {
    let address = servers::free_address()?;
    let mut map = String::new();
    for number in 0..HOSTS {
        writeln!(map, "{} servers", host(number))?;
    }
    let hosts = dir.join("hosts.map");
    fs::write(&hosts, map)?;
    let mut configuration = format!(
        "{}frontend clients
    bind {address} backlog 4096
    stick-table type ip size 100k expire 60s store http_req_rate(60s)
    http-request track-sc0 src
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {} }}
    use_backend %[req.hdr(host),lower,map({})]
backend servers
    balance roundrobin
    option redispatch
    retries 1
",
        servers::haproxy_head(threads),
        60 * RATE,
        hosts.display()
    );
    for (number, backend) in backends.iter().enumerate() {
        writeln!(
            configuration,
            "    server s{number} {backend} check inter 10s pool-purge-delay 300s maxconn 1000 \
             observe layer7 error-limit 5 on-error mark-down"
        )?;
    }
    servers::start_haproxy_with(dir, address, &configuration)
}

fn start_tpp(
    dir: &Path,
    name: &'static str,
    executable: &Path,
    workers: usize,
    backends: &[SocketAddr],
) -> Result<Server> {
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let (address, health) = (servers::free_address()?, servers::free_address()?);
    let mut configuration = format!(
        "listen = \"{address}\"\nhealth_listen = \"{health}\"\ncontrol_socket = \"{}\"\nstate_directory = \"{}\"\n\
         [workers]\ncount = {workers}\n[telemetry]\nlog_filter = \"warn\"\n\
         [health_check]\npath = \"/\"\n\
         [[rate_limits]]\nname = \"per-client\"\nrequests = {RATE}\nper_seconds = 1\nburst = {RATE}\n",
        dir.join("control.sock").display(),
        dir.display(),
    );
    for (number, backend) in backends.iter().enumerate() {
        writeln!(
            configuration,
            "[[backends]]\nid = \"s{number}\"\naddress = \"{backend}\"\ntags = [\"web\"]\npool = \"none\""
        )?;
    }
    for number in 0..HOSTS {
        writeln!(
            configuration,
            "[[virtual_hosts]]\ndomain = \"{}\"\nenabled_backends_tag = \"web\"\nmax_concurrent = 1000\n\
             rate_limit = \"per-client\"\ncircuit_breaker = {{ enabled = true }}",
            host(number)
        )?;
    }
    servers::start_tpp_with(
        &dir,
        name,
        executable,
        (address, health),
        &configuration,
        None,
    )
}
