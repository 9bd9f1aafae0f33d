//! `tpp-standin`: the stand-in as a program. SIGHUP makes all its tokens void, as a restart of the server does; at its end it
//! prints what it has seen.
#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tpp::config::Secret;
use tpp_standin::{StandIn, StandInOptions};

/// A stand-in for DolphinDB, to try tpp on. SIGHUP makes all tokens void.
#[derive(Debug, Parser)]
#[command(name = "tpp-standin", version)]
struct Cli {
    /// Where it listens; port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8848")]
    listen: SocketAddr,
    /// An account; may be given several times
    #[arg(long = "user", value_name = "NAME:PASSWORD", required = true, value_parser = account)]
    users: Vec<(String, Secret)>,
    /// How long a login takes, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    login_delay_ms: u64,
    /// How long a token is good for, seconds [default: for ever]
    #[arg(long, value_name = "SECONDS")]
    token_ttl: Option<u64>,
}

fn account(text: &str) -> Result<(String, Secret), &'static str> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok((user.to_owned(), Secret::new(password.to_owned())))
        }
        _ => Err("a name, a colon and a password are wanted"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // Before it listens: who sees its address may send a signal.
    let mut signals = Signals::catch().context("catch signals")?;
    let standin = StandIn::start(StandInOptions {
        listen: cli.listen,
        users: cli.users,
        login_delay: Duration::from_millis(cli.login_delay_ms),
        token_ttl: cli.token_ttl.map(Duration::from_secs),
    })
    .await
    .with_context(|| format!("listen on {}", cli.listen))?;
    say(&format!("http://{}", standin.addr())).context("print the address")?;
    signals.obey(&standin).await;
    let stats = serde_json::to_string(&standin.stats()).context("write down the stats")?;
    standin.stop().await;
    say(&stats).context("print the stats")
}

struct Signals {
    revoke: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            revoke: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Does what signals ask, until one asks for the end.
    async fn obey(&mut self, standin: &StandIn) {
        loop {
            tokio::select! {
                _ = self.revoke.recv() => standin.revoke_all(),
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
            }
        }
    }
}

/// A line for whoever waits for it.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
