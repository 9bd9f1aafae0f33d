//! `tpp dev`: the whole thing on loopback, in front of an embedded stand-in for DolphinDB.

use std::{collections::BTreeMap, io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use tpp::config::{self, Format, Secret};

use crate::{
    prepare::Prepared,
    run::{run_prepared, runtime},
    standin::{StandIn, StandInOptions},
    system::{limits, logging::Log},
};

/// The stand-in's account.
const USER: &str = "dev";
const PASSWORD: &str = "dev-password";

/// What `tpp dev` takes.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where clients connect; port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where /health and /metrics are served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    health_listen: SocketAddr,
    /// The socket for tppctl [default: in a new directory for temporary files]
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,
    /// Tokens in the pool
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// Worker processes; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    workers: u16,
    /// How long a token is good for at the stand-in, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    token_ttl: u32,
    /// A `tracing` filter
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_filter: String,
}

/// Runs until told to stop.
///
/// # Errors
/// If an address or the directory for the socket is not to be had.
pub fn run(args: DevArgs) -> anyhow::Result<()> {
    // Kept until the end, and removed with the socket in it.
    let directory = TemporaryDirectory::new()?;
    let control_socket = args
        .control_socket
        .clone()
        .unwrap_or_else(|| directory.0.join("control.sock"));
    runtime()?.block_on(async {
        let standin = StandIn::start(StandInOptions {
            users: vec![(USER.to_owned(), Secret::new(PASSWORD.to_owned()))],
            token_ttl: Some(Duration::from_secs(args.token_ttl.into())),
            ..StandInOptions::default()
        })
        .await
        .context("start the stand-in")?;
        let text = config_text(&args, standin.addr(), &control_socket, &directory.0);
        let no_variables = BTreeMap::<String, String>::new();
        let config = config::parse(
            &text,
            "tpp dev".as_ref(),
            Format::Toml,
            &directory.0,
            &no_variables,
        )?;
        let log = Log::begin(&config.telemetry)?;
        let last = log.clone();
        limits::prepare();
        let prepared = Prepared::of(config, PathBuf::new(), log, Vec::new())?;
        announce(&prepared, standin.addr(), &control_socket).context("print the addresses")?;
        let ended = run_prepared(prepared).await;
        last.flush();
        ended
    })
}

/// The configuration, as a person would write it.
fn config_text(
    args: &DevArgs,
    upstream: SocketAddr,
    control_socket: &std::path::Path,
    directory: &std::path::Path,
) -> String {
    format!(
        r#"
listen = "{listen}"
health_listen = "{health}"
control_socket = {control:?}
state_directory = {state:?}
[workers]
count = {workers}
[upstream]
host = "{host}"
port = {port}
[token]
ttl_seconds = {ttl}
[[credentials]]
username = "{USER}"
password = "{PASSWORD}"
sessions = {sessions}
[telemetry]
log_filter = {filter:?}
"#,
        listen = args.listen,
        health = args.health_listen,
        control = control_socket.display().to_string(),
        state = directory.display().to_string(),
        workers = args.workers,
        host = upstream.ip(),
        port = upstream.port(),
        ttl = args.token_ttl,
        sessions = args.sessions,
        filter = args.log_filter,
    )
}

fn announce(
    prepared: &Prepared,
    upstream: SocketAddr,
    control_socket: &std::path::Path,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let control = control_socket.display();
    let health = prepared.health_address();
    for address in prepared.addresses() {
        writeln!(out, "proxy    http://{address}")?;
    }
    writeln!(out, "health   http://{health}")?;
    writeln!(out, "upstream http://{upstream}")?;
    writeln!(out, "control  {control}")?;
    let proxy = prepared
        .addresses()
        .next()
        .map(|address| address.to_string())
        .unwrap_or_default();
    writeln!(
        out,
        r#"
Try:
  curl -s http://{proxy}/api/execute -d '{{"script":"1+2"}}'
  curl -s http://{proxy}/api/execute -d '{{"script":"user()"}}'
  curl -s http://{health}/health
  curl -s http://{health}/metrics
  tppctl --socket {control} status
"#
    )?;
    out.flush()
}

/// A directory of our own, removed with all in it.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tpp-dev-{}", std::process::id()));
        std::fs::create_dir(&path)
            .with_context(|| format!("make the directory {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // Left behind at worst: an empty directory among other temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
