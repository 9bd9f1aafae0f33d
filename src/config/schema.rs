//! Every key there is: what it takes, its default, its environment variable, and when a change of it takes hold.
//!
//! This table is the one place for all of that. The checker reads it, unknown keys are matched against
//! it, and a test holds the commented `tpp.toml` to it.

use super::{
    MAX_SESSIONS, MAX_WAITING, MAX_WORKERS,
    key::{
        Change::{Reload, Restart},
        Default, Key, Kind,
    },
    shape,
};

const YEAR: u64 = 365 * 24 * 3600;
pub(super) const LISTEN: Key = Key::new(
    "listen",
    Kind::Addresses,
    Default::Text("0.0.0.0:8080"),
    Reload,
)
.variable("TPP_LISTEN");
pub(super) const TRUST_FORWARDED: Key = Key::flag("trust_forwarded", false, Reload);
pub(super) const HEALTH_LISTEN: Key = Key::new(
    "health_listen",
    Kind::Address,
    Default::Text("0.0.0.0:9090"),
    Restart,
)
.variable("TPP_HEALTH_LISTEN");
pub(super) const CONTROL_SOCKET: Key = Key::text(
    "control_socket",
    "a path of at most 107 bytes",
    shape::file_path,
    Default::Text("/run/tpp/control.sock"),
)
.at_restart();
pub(super) const CREDENTIALS_FILE: Key = Key::text(
    "credentials_file",
    "the path of a file of user:password lines",
    shape::file_path,
    Default::Unset,
);

pub(super) const WORKERS_COUNT: Key =
    Key::whole("workers.count", (0, MAX_WORKERS as u64), 0, Reload);
pub(super) const DRAIN_TIMEOUT: Key = Key::limit(
    "workers.drain_timeout_seconds",
    (0, YEAR),
    "close at once",
    30,
);
pub(super) const STOP_DELAY: Key =
    Key::limit("workers.stop_delay_seconds", (0, 3600), "drain at once", 0);
pub(super) const WORKER_TIMEOUT: Key =
    Key::seconds("workers.worker_timeout_seconds", (1, 3600), 10);
pub(super) const ORPHAN_TIMEOUT: Key =
    Key::seconds("workers.orphan_timeout_seconds", (1, YEAR), 300);

pub(super) const HOST: Key = Key::text(
    "upstream.host",
    "a host name or an IP address, without scheme and port",
    shape::host,
    Default::Required,
)
.variable("TPP_UPSTREAM_HOST");
pub(super) const PORT: Key =
    Key::whole("upstream.port", (1, 65_535), 8848, Reload).variable("TPP_UPSTREAM_PORT");
pub(super) const TLS: Key = Key::flag("upstream.tls", false, Reload).variable("TPP_UPSTREAM_TLS");
pub(super) const CA_FILE: Key = Key::text(
    "upstream.ca_file",
    "the path of a PEM file with certificates",
    shape::file_path,
    Default::Unset,
);
pub(super) const VERIFY: Key = Key::flag("upstream.verify", true, Reload);
pub(super) const CONNECT_TIMEOUT: Key =
    Key::seconds("upstream.connect_timeout_seconds", (1, 3600), 2);
pub(super) const TLS_HANDSHAKE_TIMEOUT: Key =
    Key::seconds("upstream.tls_handshake_timeout_seconds", (1, 3600), 5);
pub(super) const RESPONSE_HEADER_TIMEOUT: Key = Key::limit(
    "upstream.response_header_timeout_seconds",
    (0, YEAR),
    "no limit",
    30,
);
pub(super) const READ_TIMEOUT: Key =
    Key::limit("upstream.read_timeout_seconds", (0, YEAR), "no limit", 300);
pub(super) const TUNNEL_TIMEOUT: Key = Key::limit(
    "upstream.tunnel_timeout_seconds",
    (0, YEAR),
    "no limit",
    3600,
);
pub(super) const UPSTREAM_IDLE_TIMEOUT: Key =
    Key::seconds("upstream.idle_timeout_seconds", (1, YEAR), 90);
pub(super) const MAX_IDLE_CONNECTIONS: Key = Key::whole(
    "upstream.max_idle_connections",
    (0, 1_000_000),
    1000,
    Reload,
);

pub(super) const HOST_HEADER: Key = Key::new(
    "upstream.host_header",
    Kind::Choice(&["auto", "client", "upstream"]),
    Default::Text("auto"),
    Reload,
);

pub(super) const MAX_CONNECTIONS: Key = Key::limit(
    "client.max_connections",
    (0, 1_000_000),
    "what the limit on open files allows",
    0,
);
pub(super) const MAX_CONNECTIONS_PER_ADDRESS: Key = Key::limit(
    "client.max_connections_per_address",
    (0, 1_000_000),
    "no limit",
    0,
);
pub(super) const HEAD_TIMEOUT: Key =
    Key::limit("client.head_timeout_seconds", (0, YEAR), "no limit", 60);
pub(super) const STALL_TIMEOUT: Key =
    Key::limit("client.stall_timeout_seconds", (0, YEAR), "no limit", 60);
pub(super) const MIN_RATE: Key = Key::limit(
    "client.min_rate_bytes_per_second",
    (0, 1_000_000),
    "no limit",
    240,
);

pub(super) const TTL: Key =
    Key::seconds("token.ttl_seconds", (1, YEAR), 3600).variable("TPP_TOKEN_TTL_SECONDS");
pub(super) const REFRESH_CHECK: Key = Key::seconds("token.refresh_check_seconds", (1, YEAR), 60)
    .variable("TPP_TOKEN_REFRESH_CHECK_SECONDS");
pub(super) const RENEW_ON: Key = Key::new(
    "token.renew_on",
    Kind::Statuses,
    Default::Statuses(&[401]),
    Reload,
);
pub(super) const BUSY_PATTERN: Key = Key::text(
    "token.busy_pattern",
    "a regular expression that does not match empty text",
    shape::pattern,
    Default::Text(
        "(?i)max(imum)? ?(number of )?connections|connection limit|S00006|not ready|not (yet )?initialized|starting up",
    ),
);
pub(super) const SCOPE: Key = Key::new(
    "token.scope",
    Kind::Choice(&["backend", "pool"]),
    Default::Text("backend"),
    Reload,
);
pub(super) const LOGIN_FROM_CLIENTS: Key = Key::flag("token.login_from_clients", true, Reload);
pub(super) const LOGIN_PATH: Key = Key::text(
    "token.login_path",
    "a path that begins with / and has no spaces",
    shape::request_path,
    Default::Text("/api/login"),
);
pub(super) const LOGIN_TIMEOUT: Key = Key::seconds("token.login_timeout_seconds", (1, 3600), 30);
pub(super) const LOGIN_CONCURRENCY: Key =
    Key::whole("token.login_concurrency", (1, 1024), 16, Reload);
pub(super) const MAX_TOKEN_BYTES: Key =
    Key::whole("token.max_token_bytes", (16, 65_536), 4096, Restart);

pub(super) const MODE: Key = Key::new(
    "lease.mode",
    Kind::Choice(&["connection", "request"]),
    Default::Text("connection"),
    Reload,
);
pub(super) const WAIT_TIMEOUT: Key =
    Key::limit("lease.wait_timeout_seconds", (0, YEAR), "for ever", 0);
pub(super) const LEASE_MAX_WAITING: Key =
    Key::whole("lease.max_waiting", (0, MAX_WAITING as u64), 0, Reload);
pub(super) const LEASE_IDLE_TIMEOUT: Key =
    Key::limit("lease.idle_timeout_seconds", (0, YEAR), "never", 60);
pub(super) const CONTENDED_IDLE: Key = Key::limit(
    "lease.contended_idle_ms",
    (0, 3_600_000),
    "no difference",
    250,
);
pub(super) const MAX_HOLD: Key = Key::limit("lease.max_hold_seconds", (0, YEAR), "no limit", 0);

pub(super) const MAX_HOLD_GRACE: Key =
    Key::limit("lease.max_hold_grace_seconds", (0, YEAR), "cut at once", 30);
pub(super) const ABANDONED: Key = Key::new(
    "lease.abandoned",
    Kind::Choice(&["wait", "login", "release"]),
    Default::Text("wait"),
    Reload,
);
pub(super) const ABANDONED_WAIT: Key = Key::seconds("lease.abandoned_wait_seconds", (1, YEAR), 30);
pub(super) const RESET: Key = Key::new(
    "lease.reset",
    Kind::Choice(&["none", "login"]),
    Default::Text("none"),
    Reload,
);

pub(super) const LOG_FILTER: Key = Key::text(
    "telemetry.log_filter",
    "off, error, warn, info, debug or trace, or such as \"info,tpp_worker=debug\"",
    shape::log_filter,
    Default::Text("info"),
)
.variable("TPP_TELEMETRY_LOG_FILTER");
pub(super) const LOG_FORMAT: Key = Key::new(
    "telemetry.log_format",
    Kind::Choice(&["text", "json"]),
    Default::Text("text"),
    Restart,
);
pub(super) const OTLP_ENDPOINT: Key = Key::text(
    "telemetry.otlp_endpoint",
    "a URL that begins with http:// or https://",
    shape::http_url,
    Default::Unset,
)
.at_restart()
.variable("TPP_TELEMETRY_OTLP_ENDPOINT");

pub(super) const USERNAME: Key = Key::text(
    "credentials.username",
    "text of 1 to 256 bytes without control characters",
    shape::user_name,
    Default::Required,
);
pub(super) const PASSWORD: Key =
    Key::new("credentials.password", Kind::Secret, Default::Unset, Reload);
pub(super) const PASSWORD_FILE: Key = Key::text(
    "credentials.password_file",
    "the path of a file that holds the password",
    shape::file_path,
    Default::Unset,
);
pub(super) const SESSIONS: Key =
    Key::whole("credentials.sessions", (1, MAX_SESSIONS as u64), 1, Reload);

/// The predecessor's number of sessions for its one `credential`; read in YAML alone.
pub(super) const POOL_SIZE: Key =
    Key::whole("token.pool_size", (1, MAX_SESSIONS as u64), 10, Reload);

/// All keys but [`POOL_SIZE`], in the order of `tpp.toml`.
pub(super) const KEYS: &[&Key] = &[
    &LISTEN,
    &TRUST_FORWARDED,
    &HEALTH_LISTEN,
    &CONTROL_SOCKET,
    &CREDENTIALS_FILE,
    &WORKERS_COUNT,
    &DRAIN_TIMEOUT,
    &STOP_DELAY,
    &WORKER_TIMEOUT,
    &ORPHAN_TIMEOUT,
    &HOST,
    &PORT,
    &TLS,
    &CA_FILE,
    &VERIFY,
    &CONNECT_TIMEOUT,
    &TLS_HANDSHAKE_TIMEOUT,
    &RESPONSE_HEADER_TIMEOUT,
    &READ_TIMEOUT,
    &TUNNEL_TIMEOUT,
    &UPSTREAM_IDLE_TIMEOUT,
    &MAX_IDLE_CONNECTIONS,
    &HOST_HEADER,
    &MAX_CONNECTIONS,
    &MAX_CONNECTIONS_PER_ADDRESS,
    &HEAD_TIMEOUT,
    &STALL_TIMEOUT,
    &MIN_RATE,
    &TTL,
    &REFRESH_CHECK,
    &RENEW_ON,
    &BUSY_PATTERN,
    &SCOPE,
    &LOGIN_FROM_CLIENTS,
    &LOGIN_PATH,
    &LOGIN_TIMEOUT,
    &LOGIN_CONCURRENCY,
    &MAX_TOKEN_BYTES,
    &MODE,
    &WAIT_TIMEOUT,
    &LEASE_MAX_WAITING,
    &LEASE_IDLE_TIMEOUT,
    &CONTENDED_IDLE,
    &MAX_HOLD,
    &MAX_HOLD_GRACE,
    &ABANDONED,
    &ABANDONED_WAIT,
    &RESET,
    &USERNAME,
    &PASSWORD,
    &PASSWORD_FILE,
    &SESSIONS,
    &LOG_FILTER,
    &LOG_FORMAT,
    &OTLP_ENDPOINT,
];

/// The list of accounts, and the predecessor's single one.
pub(super) const CREDENTIALS: &str = "credentials";
pub(super) const CREDENTIAL: &str = "credential";

/// The tables of the file, but for the accounts. The checker takes them apart in this order.
pub(super) const SECTIONS: [&str; 6] = [
    "workers",
    "upstream",
    "client",
    "token",
    "lease",
    "telemetry",
];

/// The names of the keys in `section`, in the order of the table.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    KEYS.iter()
        .filter(|key| key.section() == section)
        .map(|key| key.leaf())
        .collect()
}
