//! The servers under measurement, each with a configuration of its own making.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result, http,
    process::Program,
    secure::{HOST, Shown},
};

/// The token that nginx and HAProxy add, and that the upstream's login hands out: as long as DolphinDB's.
const TOKEN: &str = "dGhpcyBpcyBhIHRva2VuIG9mIHRoZSBsZW5ndGggdGhhdCBEb2xwaGluREIgaGFuZHMgb3V0LCBpbiBiYXNlNjQg\
                     YW5kIHdpdGhvdXQgaXRzIGxpbmUgYnJlYWtzLi4=";

/// What the builds of tpp are called in the tables, in the order of the command line.
pub(crate) const TPP_NAMES: [&str; 3] = ["tpp", "tpp-2", "tpp-3"];

/// A server that runs and answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

/// What tpp is to be.
#[derive(Debug, Clone)]
pub(crate) struct TppSettings<'a> {
    /// What this one is called in the tables.
    pub(crate) name: &'static str,
    pub(crate) executable: &'a Path,
    pub(crate) workers: usize,
    pub(crate) sessions: usize,
    /// `lease.mode`.
    pub(crate) mode: &'static str,
}

/// The upstream: nginx with one worker, which answers from memory. It hands out tokens, shows at
/// `/authorization` the one that a request came with, and has an answer of 16 KiB at `/large`.
pub(crate) fn start_upstream(dir: &Path) -> Result<Server> {
    let address = free_address()?;
    write(
        dir,
        "large",
        &"1.25, 2.5, 3.75, 5.0, ".repeat(16 * 1024 / 22),
    )?;
    let root = dir.display();
    let locations = format!(
        r#"location / {{ return 200 '{{"session":"1","user":"bench","code":"0","message":"","result":3}}'; }}
        location = /large {{ root {root}; }}
        location = /authorization {{ return 200 '$http_authorization '; }}
        location = /api/login {{ return 200 '{{"session":"1","user":"bench","code":"0","message":"","result":"{TOKEN}"}}'; }}"#
    );
    start_nginx("upstream", dir, 1, "", address, &locations)
}

/// nginx as a proxy that adds the token, both sides kept alive.
pub(crate) fn start_nginx_proxy(
    dir: &Path,
    workers: usize,
    upstream: SocketAddr,
) -> Result<Server> {
    start_nginx_proxy_as("nginx", dir, workers, upstream, "")
}

/// The same over TLS, with HTTP/2.
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

/// The same over TLS, with HTTP/2.
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

/// Caddy as a proxy that adds the token, over TLS, with HTTP/2.
pub(crate) fn start_caddy_front(
    dir: &Path,
    threads: usize,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let address = free_address()?;
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let configuration = format!(
        r#"{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1 h2
    }}
}}
https://{HOST}:{port} {{
    bind {ip}
    tls {certificate} {key}
    reverse_proxy {upstream} {{
        header_up Authorization "Bearer {TOKEN}"
        transport http {{
            keepalive 300s
            keepalive_idle_conns 512
            keepalive_idle_conns_per_host 512
        }}
    }}
}}
"#,
        port = address.port(),
        ip = address.ip(),
    );
    let dir = dir.join("caddy");
    fs::create_dir(&dir)?;
    let file = write(&dir, "Caddyfile", &configuration)?;
    let mut command = Command::new(find("caddy")?);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file)
        .env("GOMAXPROCS", threads.to_string())
        // Where it keeps what it makes.
        .env("HOME", &dir)
        .env("XDG_DATA_HOME", &dir)
        .env("XDG_CONFIG_HOME", &dir);
    let mut program = Program::start("caddy", command, &dir)?;
    program.wait_for_listener(address)?;
    Ok(Server { program, address })
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

/// tpp, ready with all its tokens.
pub(crate) fn start_tpp(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
) -> Result<Server> {
    start_tpp_further(dir, settings, upstream, "")
}

/// The same over TLS, with HTTP/2.
pub(crate) fn start_tpp_front(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
    shown: &Shown,
) -> Result<Server> {
    let address = free_address()?;
    let listener = format!(
        "[[listeners]]\naddress = \"{address}\"\ntls = true\n\
         [[certificates]]\nname = \"own\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        shown.certificate.display(),
        shown.key.display(),
    );
    let server = start_tpp_further(dir, settings, upstream, &listener)?;
    Ok(Server { address, ..server })
}

fn start_tpp_further(
    dir: &Path,
    settings: &TppSettings<'_>,
    upstream: SocketAddr,
    further: &str,
) -> Result<Server> {
    let TppSettings {
        name,
        executable,
        workers,
        sessions,
        mode,
    } = settings;
    let dir = dir.join(name);
    fs::create_dir(&dir)?;
    let (address, health) = (free_address()?, free_address()?);
    let mut configuration = String::new();
    writeln!(
        configuration,
        "listen = \"{address}\"\nhealth_listen = \"{health}\""
    )?;
    writeln!(
        configuration,
        "control_socket = \"{}\"",
        dir.join("control.sock").display()
    )?;
    writeln!(configuration, "[workers]\ncount = {workers}")?;
    writeln!(
        configuration,
        "[upstream]\nhost = \"{}\"\nport = {}",
        upstream.ip(),
        upstream.port()
    )?;
    writeln!(configuration, "[lease]\nmode = \"{mode}\"")?;
    writeln!(
        configuration,
        "[[credentials]]\nusername = \"bench\"\npassword = \"bench\"\nsessions = {sessions}"
    )?;
    writeln!(configuration, "[telemetry]\nlog_filter = \"warn\"")?;
    configuration.push_str(further);
    start_tpp_with(
        &dir,
        name,
        executable,
        (address, health),
        &configuration,
        Some(*sessions),
    )
}

/// tpp with this whole configuration, whose `listen` and `health_listen` are `addresses`; ready, and with so many tokens.
pub(crate) fn start_tpp_with(
    dir: &Path,
    name: &'static str,
    executable: &Path,
    addresses: (SocketAddr, SocketAddr),
    configuration: &str,
    tokens: Option<usize>,
) -> Result<Server> {
    let (address, health) = addresses;
    let file = write(dir, "tpp.toml", configuration)?;
    let mut command = Command::new(executable);
    command.arg("--config").arg(file);
    let mut program = Program::start(name, command, dir)?;
    let wanted = tokens.map(|tokens| format!("\"total\":{tokens}"));
    program.wait_until("all tokens are in and a worker is ready", || {
        http::get(health, "/readyz").is_ok_and(|(status, _)| status == 200)
            && wanted.as_ref().is_none_or(|wanted| {
                http::get(health, "/health")
                    .is_ok_and(|(_, body)| body.replace(' ', "").contains(wanted))
            })
    })?;
    Ok(Server { program, address })
}

impl Server {
    /// Makes sure that a request through this proxy reaches the upstream with a token.
    pub(crate) fn check_token(&self) -> Result<()> {
        let (status, body) = http::get(self.address, "/authorization")?;
        if status != 200 || body.trim() != format!("Bearer {TOKEN}") {
            return Err(format!(
                "{}: no token at the upstream: {status} {body}",
                self.program.name()
            )
            .into());
        }
        Ok(())
    }
}

/// Where `program` lies; Debian keeps servers out of an ordinary user's PATH.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            format!("{program} is not installed; packaging/install-deps.sh bench installs it")
                .into()
        })
}

/// A loopback address that nobody listens on now. Neither nginx nor HAProxy can say which port they were
/// given, so that port 0 is no choice.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let file = dir.join(name);
    fs::write(&file, text)?;
    Ok(file)
}
