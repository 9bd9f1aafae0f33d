//! (g): what watching costs: processor time a request with nothing, with a line of JSON for each, while it is scraped, and with one in a
//! hundred traced; beside nginx and HAProxy without and with their own logs.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use crate::{
    Result, http,
    load::Load,
    pairs::{self, Pair},
    servers::{self, Server},
};

/// Measures each proxy with `workers` processes or threads in so many turns.
pub(crate) fn run(
    tpp: &Path,
    workers: usize,
    turns: usize,
    connections: usize,
    dir: &Path,
) -> Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let dir = scratch.path();
    let upstream = servers::start_upstream(dir)?;
    let mut proxies = others(dir, workers, upstream.address)?;
    let collector = deaf_collector()?;
    let traced = format!(
        "otlp_endpoint = \"http://{collector}\"\notlp_metrics_interval_seconds = 0\ntrace_sample_percent = 1\n"
    );
    let mut scraper = None;
    for (name, telemetry) in [
        ("tpp", ""),
        ("tpp+log", "access_log = \"access.log\"\n"),
        ("tpp+scrape", ""),
        ("tpp+1%", &traced),
    ] {
        let start = Start {
            name,
            workers,
            sessions: connections,
            upstream: upstream.address,
            telemetry,
        };
        let (server, health) = start.tpp(tpp, dir)?;
        if name == "tpp+scrape" {
            // About one in each turn.
            scraper = Some(Scraper::start(health, pairs::TURN));
        }
        proxies.push(server);
    }
    let what = format!("(g) watching, {workers} worker(s) each");
    let pairs: Vec<_> = proxies
        .iter()
        .filter_map(|server| beside_itself(server, &proxies))
        .collect();
    pairs::show(&what, &pairs, Load::Saturating, turns, connections, dir)?;
    drop(scraper);
    Ok(())
}

/// `nginx+log` is compared with `nginx`.
fn beside_itself<'a>(further: &'a Server, proxies: &'a [Server]) -> Option<Pair<'a>> {
    let (plain, _) = further.program.name().split_once('+')?;
    let plain = proxies.iter().find(|one| one.program.name() == plain)?;
    Some(Pair { plain, further })
}

/// A tpp that writes a line for each request, and traces one in a hundred.
pub(crate) fn start_alone(tpp: &Path, upstream: SocketAddr, dir: &Path) -> Result<Server> {
    let telemetry = format!(
        "access_log = \"access.log\"\notlp_endpoint = \"http://{}\"\ntrace_sample_percent = 1\n",
        deaf_collector()?
    );
    let start = Start {
        name: "tpp+log",
        workers: 2,
        sessions: 64,
        upstream,
        telemetry: &telemetry,
    };
    let (server, _) = start.tpp(tpp, dir)?;
    Ok(server)
}

/// nginx and HAProxy, without and with a log.
fn others(dir: &Path, workers: usize, upstream: SocketAddr) -> Result<Vec<Server>> {
    let logging = dir.join("logging");
    fs::create_dir(&logging)?;
    let nginx_log = format!("access_log {}/access.log;", logging.display());
    let haproxy_log = |head: String| {
        let global =
            "    log stdout format raw local0\ndefaults\n    log global\n    option httplog\n";
        head.replace("defaults\n", global)
    };
    let nginx = |name, dir: &Path, log: &str| {
        servers::start_nginx_proxy_as(name, dir, workers, upstream, log)
    };
    let haproxy =
        |name, dir: &Path, head| servers::start_haproxy_as(name, dir, head, upstream, None);
    let head = servers::haproxy_head(workers);
    Ok(vec![
        nginx("nginx", dir, "")?,
        nginx("nginx+log", &logging, &nginx_log)?,
        haproxy("haproxy", dir, head.clone())?,
        haproxy("haproxy+log", &logging, haproxy_log(head))?,
    ])
}

/// A tpp to be started.
struct Start<'a> {
    name: &'static str,
    workers: usize,
    sessions: usize,
    upstream: SocketAddr,
    /// Lines of `[telemetry]`.
    telemetry: &'a str,
}

impl Start<'_> {
    /// It, and where it serves its metrics.
    fn tpp(&self, executable: &Path, dir: &Path) -> Result<(Server, SocketAddr)> {
        let Self {
            name,
            workers,
            sessions,
            upstream,
            telemetry,
        } = self;
        let dir = dir.join(name);
        fs::create_dir(&dir)?;
        let (address, health) = (servers::free_address()?, servers::free_address()?);
        let configuration = format!(
            "listen = \"{address}\"\nhealth_listen = \"{health}\"\ncontrol_socket = \"{}\"\n\
             [workers]\ncount = {workers}\n[upstream]\nhost = \"{}\"\nport = {}\n\
             [[credentials]]\nusername = \"bench\"\npassword = \"bench\"\nsessions = {sessions}\n\
             [telemetry]\nlog_filter = \"warn\"\n{telemetry}",
            dir.join("control.sock").display(),
            upstream.ip(),
            upstream.port(),
        );
        let addresses = (address, health);
        let tokens = Some(*sessions);
        let server =
            servers::start_tpp_with(&dir, name, executable, addresses, &configuration, tokens)?;
        Ok((server, health))
    }
}

/// Asks for metrics every so often, until it is dropped.
struct Scraper {
    is_over: Arc<AtomicBool>,
}

impl Scraper {
    fn start(health: SocketAddr, every: Duration) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        thread::spawn(move || {
            while !over.load(Relaxed) {
                // Whoever misses one sees the next.
                let _ = http::get(health, "/metrics");
                thread::sleep(every);
            }
        });
        Self { is_over }
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

/// Takes every export by HTTP and forgets it.
fn deaf_collector() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(std::io::Result::ok) {
            thread::spawn(move || forget(stream));
        }
    });
    Ok(address)
}

fn forget(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(said) = lower.strip_prefix("content-length:") {
                length = said.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
