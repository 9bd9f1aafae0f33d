//! What an administrator may set: the checked form that the rest of tpp sees.
//!
//! A file is read without judgement into a tree that remembers its lines (`file`, `tree`), the environment
//! is laid over it (`env`), and one pass over the tree (`check`, held to the table in `schema`) yields either
//! a [`Config`] or every [`Problem`] found. Nothing here opens a socket or starts a thread.
//!
//! TOML and YAML take the same keys. In YAML the first tpp's file is read as it is: its `credential` becomes
//! an account that draws `token.pool_size` sessions (10 if it is left out); all its other keys have kept
//! their names. `health_listen` has a default now, where the first tpp served no health endpoint without it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

mod check;
mod credentials;
mod describe;
mod env;
mod file;
mod key;
mod load;
mod paths;
mod problem;
mod reader;
mod schema;
mod secret;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod unknown;

pub use describe::{KeyDescription, describe};
pub use env::{ProcessVars, Vars};
pub use file::Format;
pub use load::{load, parse};
pub use problem::{Place, Problem, Problems};
pub use secret::Secret;

/// Most sessions (slots) over all credentials.
pub const MAX_SESSIONS: usize = 16_384;
/// Most worker processes.
pub const MAX_WORKERS: usize = 256;
/// Highest bound that can be set on the clients in line.
pub const MAX_WAITING: usize = 65_536;

/// A checked configuration. Every value is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses on which clients connect; at least one.
    pub listen: Vec<SocketAddr>,
    /// Keep a client's own `X-Forwarded-For` and append to it.
    pub trust_forwarded: bool,
    /// Where `/health` and `/metrics` are served.
    pub health_listen: SocketAddr,
    /// The Unix socket `tppctl` talks to.
    pub control_socket: PathBuf,
    /// `[workers]`.
    pub workers: Workers,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[client]`.
    pub client: Client,
    /// `[token]`.
    pub token: Token,
    /// `[lease]`.
    pub lease: Lease,
    /// `[[credentials]]` and the lines of `credentials_file`, in that order; at least one, user names unique.
    pub credentials: Vec<Credential>,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// What was noticed while the files were read, such as passwords open to all users. [`Config::warnings`]
    /// gives these and more.
    pub load_warnings: Vec<String>,
}

impl Config {
    /// What an administrator should know though it is no error, one sentence each, without secrets.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut list = self.load_warnings.clone();
        let upstream = &self.upstream;
        if upstream.tls && !upstream.verify {
            list.push(
                "upstream.verify is false: whoever stands between can pose as the upstream and read passwords and tokens"
                    .to_owned(),
            );
        }
        if !upstream.tls && upstream.ca_file.is_some() {
            list.push("upstream.ca_file has no effect while upstream.tls is false".to_owned());
        }
        if self.telemetry.otlp_endpoint.is_some() {
            list.push("telemetry.otlp_endpoint is set, but nothing is exported yet".to_owned());
        }
        list
    }

    /// Slots in all: the sum of the credentials' sessions, from 1 to [`MAX_SESSIONS`].
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.credentials.iter().map(|one| one.sessions).sum()
    }
}

/// `[workers]`: how many processes serve, and how long they get to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// Number of worker processes; 0 means one per processor.
    pub count: usize,
    /// How long a draining worker may finish what is open.
    pub drain_timeout: Duration,
    /// How long a stop is only announced (`/readyz` says no, new connections are taken) before the drain.
    pub stop_delay: Duration,
    /// How long a worker's heartbeat may stand still before it is killed.
    pub worker_timeout: Duration,
    /// How long a worker serves on without a supervisor before it drains.
    pub orphan_timeout: Duration,
}

/// `[upstream]`: the server behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Host name or address literal (an IPv6 literal without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Speak TLS to the upstream.
    pub tls: bool,
    /// PEM file with the roots to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Verify the upstream's certificate and name.
    pub verify: bool,
    /// Bound on the TCP connect.
    pub connect_timeout: Duration,
    /// Bound on the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Bound from the end of the request to the head of the answer; `None`: no bound.
    pub response_header_timeout: Option<Duration>,
    /// How long the upstream may be silent in the middle of an answer; `None`: no bound.
    pub read_timeout: Option<Duration>,
    /// How long both sides of an upgraded connection may be silent; `None`: no bound.
    pub tunnel_timeout: Option<Duration>,
    /// How long an idle upstream connection is kept for reuse.
    pub idle_timeout: Duration,
    /// How many idle upstream connections are kept, over all workers.
    pub max_idle_connections: usize,
    /// What stands in the `Host` header of a forwarded request.
    pub host_header: HostHeader,
}

/// What stands in the `Host` header of a forwarded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The upstream's where TLS is spoken to it, whose certificates and virtual hosts go by that name; else the client's.
    Auto,
    /// The client's, as it came.
    Client,
    /// The upstream's authority.
    Upstream,
}

/// `[client]`: what a client may take, and how slow it may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Most client connections, over all workers; `None`: what the limit on open files allows.
    pub max_connections: Option<usize>,
    /// Most connections from one address; `None`: no bound.
    pub max_connections_per_address: Option<usize>,
    /// Bound on a request's head, from its first byte to its last; `None`: no bound.
    pub head_timeout: Option<Duration>,
    /// How long nothing may move though it is the client's turn to send or to read; `None`: no bound.
    pub stall_timeout: Option<Duration>,
    /// Slowest a client may send or read, in bytes per second; `None`: no bound.
    pub min_rate: Option<u32>,
}

/// `[token]`: how tokens are drawn and renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// How long a token is good for after its login.
    pub ttl: Duration,
    /// How often the supervisor looks for tokens to renew.
    pub refresh_check: Duration,
    /// Statuses of an answer that mean that the token must be renewed, from 400 to 599, in rising order.
    pub renew_on: Vec<u16>,
    /// A regular expression: a login answer whose message it matches says "not now", and is no refusal. It does not
    /// match empty text.
    pub busy_pattern: String,
    /// Where a token may be sent.
    pub scope: TokenScope,
    /// Forward a client's own requests to `login_path`; else they get 403.
    pub login_from_clients: bool,
    /// Path of the login call, starting with `/`.
    pub login_path: String,
    /// Bound on one login, from connect to the last byte.
    pub login_timeout: Duration,
    /// Logins under way at once.
    pub login_concurrency: usize,
    /// Longest token accepted, in bytes, white space removed.
    pub max_token_bytes: usize,
}

/// Where a token may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Only to the very address it was drawn from.
    Backend,
    /// To any address of the upstream.
    Pool,
}

/// `[lease]`: how tokens are lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What a lease spans.
    pub mode: LeaseMode,
    /// How long a client may wait for a token; `None`: for ever.
    pub wait_timeout: Option<Duration>,
    /// How many clients may wait; `None`: no bound.
    pub max_waiting: Option<usize>,
    /// How long a connection may be idle before it is closed; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may be idle while somebody waits in line; `None`: as long as else.
    pub contended_idle: Option<Duration>,
    /// How long a connection may hold its token; `None`: no bound.
    pub max_hold: Option<Duration>,
    /// How long the answer in hand may go on after `max_hold`.
    pub max_hold_grace: Duration,
    /// What becomes of a token whose client left while the upstream worked for it.
    pub abandoned: Abandoned,
    /// Bound on [`Abandoned::Wait`].
    pub abandoned_wait: Duration,
    /// What a token goes through after each lease.
    pub reset: Reset,
}

/// What becomes of a token whose client left while the upstream worked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abandoned {
    /// It is lent again when that answer has ended, or after `abandoned_wait` and a fresh login.
    Wait,
    /// It is lent again after a fresh login.
    Login,
    /// It is lent again at once.
    Release,
}

/// What a token goes through after each lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    /// Nothing: the next client finds the session as the last one left it.
    None,
    /// A fresh login, so that nothing of the last client's session is left.
    Login,
}

/// What a lease spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseMode {
    /// One downstream connection, from its first request to its close.
    Connection,
    /// One request.
    Request,
}

/// An account and how many sessions (slots) to draw from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name at the upstream.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// How many slots it fills.
    pub sessions: usize,
}

/// `[telemetry]`: what is said about the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// A `tracing` filter, such as `info` or `info,tpp_worker=debug`.
    pub log_filter: String,
    /// Shape of the log lines.
    pub log_format: LogFormat,
    /// Accepted for files that have it; nothing is exported yet.
    pub otlp_endpoint: Option<String>,
}

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
