//! nginx: as the upstream, and as a proxy.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use super::{Server, TOKEN, find, free_address, write};
use crate::{Result, process::Program, shown::Shown};

/// nginx as a proxy that adds the token, both sides kept alive.
pub(crate) fn start_nginx_proxy(
    dir: &Path,
    workers: usize,
    upstream: SocketAddr,
) -> Result<Server> {
    start_nginx_proxy_as("nginx", dir, workers, upstream, "")
}

/// The same under another name, with `further` lines for its requests.
pub(crate) fn start_nginx_proxy_as(
    name: &'static str,
    dir: &Path,
    workers: usize,
    upstream: SocketAddr,
    further: &str,
) -> Result<Server> {
    let (pool, location) = nginx_proxy(upstream, further);
    start_nginx(name, dir, workers, &pool, free_address()?, &location)
}

/// nginx as such a proxy over TLS, with HTTP/2.
pub(crate) fn start_nginx_front(
    dir: &Path,
    workers: usize,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let (pool, location) = nginx_proxy(upstream, "");
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let location = format!(
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key}; {location}"
    );
    let listen = (free_address()?, "ssl http2");
    start_nginx_listening("nginx", dir, workers, &pool, listen, &location)
}

/// A pool of nginx before `upstream`, and its location, with `further` lines.
fn nginx_proxy(upstream: SocketAddr, further: &str) -> (String, String) {
    let pool = format!(
        "upstream up {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}"
    );
    let location = format!(
        r#"location / {{
            {further}
            proxy_pass http://up;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header Authorization "Bearer {TOKEN}";
        }}"#
    );
    (pool, location)
}

/// nginx of this name, with `pool` before its one server and `locations` in it.
pub(crate) fn start_nginx(
    name: &'static str,
    dir: &Path,
    workers: usize,
    pool: &str,
    address: SocketAddr,
    locations: &str,
) -> Result<Server> {
    start_nginx_listening(name, dir, workers, pool, (address, ""), locations)
}

/// The same, with words that say how it listens.
fn start_nginx_listening(
    name: &'static str,
    dir: &Path,
    workers: usize,
    pool: &str,
    (address, how): (SocketAddr, &str),
    locations: &str,
) -> Result<Server> {
    // As root nginx would give its workers to another user, who may not be there.
    let user = if nix::unistd::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let path = dir.display();
    let configuration = format!(
        "daemon off; {user} worker_processes {workers}; error_log stderr error; pid {path}/pid;
events {{ worker_connections 8192; }}
http {{
    access_log off; default_type application/json;
    keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
    client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
    {pool}
    server {{
        listen {address} {how} reuseport backlog=4096;
        {locations}
    }}
}}
"
    );
    let file = write(&dir, "nginx.conf", &configuration)?;
    let mut command = Command::new(find("nginx")?);
    command
        .arg("-p")
        .arg(&dir)
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(file);
    let mut program = Program::start(name, command, &dir)?;
    program.wait_for_listener(address)?;
    Ok(Server { program, address })
}
