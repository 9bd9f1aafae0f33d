//! Tree to [`Config`]: one walk that gathers every problem.
//!
//! A value that does not fit is noted and its default taken in its stead, so that the walk goes on. The
//! configuration that comes out counts only when nothing was noted.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Abandoned, Client, Config, HostHeader, Lease, LeaseMode, LogFormat, Reset, Telemetry, Token,
    TokenScope, Upstream, Workers, credentials,
    env::Overrides,
    file::{self, Format},
    paths::Paths,
    reader::{Check, Table},
    schema,
    tree::{Node, Value},
    unknown,
};

/// Walks the whole tree.
pub(super) fn config(check: &mut Check<'_>, root: &Node, overrides: &Overrides) -> Config {
    let entries = match &root.value {
        Value::Table(entries) => entries.as_slice(),
        Value::Null => &[],
        other => {
            // Its text is not shown: this may be a file of passwords, named by mistake.
            check.note(Some(root.origin), "", other.kind(), "a table of keys");
            &[]
        }
    };
    let top = Table {
        name: String::new(),
        origin: None,
        entries,
        overrides,
    };
    unknown::note(check, &top, &unknown::names_at_top(check.format));
    let [workers, upstream, client, token, lease, telemetry] =
        schema::SECTIONS.map(|name| check.section(&top, name));
    let (listen, health_listen) = check.listeners(&top);
    Config {
        listen,
        trust_forwarded: check.flag(&top, &schema::TRUST_FORWARDED),
        health_listen,
        control_socket: check.control_socket(&top),
        workers: check.workers(&workers),
        upstream: check.upstream(&upstream),
        client: check.client(&client),
        lease: check.lease(&lease),
        credentials: credentials::read(check, &top, &token),
        token: check.token(&token),
        telemetry: check.telemetry(&telemetry),
        load_warnings: Vec::new(),
    }
}

/// What `read` makes of a section in which nothing stands.
fn defaults<T>(name: &str, read: impl FnOnce(&mut Check<'_>, &Table<'_>) -> T) -> T {
    let overrides = Overrides::new();
    let table = Table {
        name: name.to_owned(),
        origin: None,
        entries: &[],
        overrides: &overrides,
    };
    let nothing_set = BTreeMap::<String, String>::new();
    let mut check = Check {
        file: Path::new(""),
        format: Format::Toml,
        paths: Paths::new(Path::new(""), &nothing_set),
        problems: Vec::new(),
        warnings: Vec::new(),
        inline_passwords: false,
    };
    read(&mut check, &table)
}

impl Default for Client {
    fn default() -> Self {
        defaults("client", |check, table| check.client(table))
    }
}

impl Default for Token {
    fn default() -> Self {
        defaults("token", |check, table| check.token(table))
    }
}

impl Default for Lease {
    fn default() -> Self {
        defaults("lease", |check, table| check.lease(table))
    }
}

impl Upstream {
    /// The server at `host` and `port`, all else by default.
    #[must_use]
    pub fn at(host: &str, port: u16) -> Self {
        let section = defaults("upstream", |check, table| check.upstream(table));
        let host = host.to_owned();
        Self {
            host,
            port,
            ..section
        }
    }
}

/// The parts of the file.
impl Check<'_> {
    fn section<'t>(&mut self, top: &Table<'t>, name: &'static str) -> Table<'t> {
        let node = top.named(name);
        let entries = match node.map(|node| (&node.value, node.origin)) {
            None => &[],
            Some((Value::Table(entries), _)) => entries.as_slice(),
            Some((other, origin)) => {
                self.note(Some(origin), name, other.describe(), "a table of keys");
                &[]
            }
        };
        let origin = node.map(|node| node.origin);
        let table = Table {
            name: name.to_owned(),
            origin,
            entries,
            overrides: top.overrides,
        };
        unknown::note(self, &table, &unknown::names_in(name, self.format));
        table
    }

    fn listeners(&mut self, top: &Table<'_>) -> (Vec<SocketAddr>, SocketAddr) {
        let listen = self.addresses(top, &schema::LISTEN);
        let health = self.addresses(top, &schema::HEALTH_LISTEN);
        let all: Vec<_> = listen.iter().chain(&health).collect();
        for (index, one) in all.iter().enumerate() {
            if let Some(other) = all[..index]
                .iter()
                .find(|other| overlap(one.address, other.address))
            {
                let default = if one.origin.is_none() {
                    "the default "
                } else {
                    ""
                };
                let found = format!(
                    "{default}\"{}\", which overlaps {} \"{}\"",
                    one.address, other.key, other.address
                );
                self.note(one.origin, &one.key, found, "addresses that do not overlap");
            }
        }
        let health = health
            .first()
            .map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |one| one.address);
        (listen.iter().map(|one| one.address).collect(), health)
    }

    fn control_socket(&mut self, top: &Table<'_>) -> PathBuf {
        let key = &schema::CONTROL_SOCKET;
        let text = self.text(top, key).unwrap_or_default();
        let path = self.paths.resolve(text);
        let bytes = path.as_os_str().len();
        // The kernel's room for a socket's path, less its closing zero.
        if bytes > 107 {
            let origin = top.find(key).map(|node| node.origin);
            self.note(
                origin,
                key.path,
                format!("a path of {bytes} bytes"),
                key.kind.allowed(),
            );
        }
        path
    }

    fn workers(&mut self, table: &Table<'_>) -> Workers {
        Workers {
            count: self.count(table, &schema::WORKERS_COUNT),
            drain_timeout: self.seconds(table, &schema::DRAIN_TIMEOUT),
            stop_delay: self.seconds(table, &schema::STOP_DELAY),
            worker_timeout: self.seconds(table, &schema::WORKER_TIMEOUT),
            orphan_timeout: self.seconds(table, &schema::ORPHAN_TIMEOUT),
        }
    }

    fn upstream(&mut self, table: &Table<'_>) -> Upstream {
        Upstream {
            host: self
                .text(table, &schema::HOST)
                .unwrap_or_default()
                .to_owned(),
            port: u16::try_from(self.whole(table, &schema::PORT)).unwrap_or(u16::MAX),
            tls: self.flag(table, &schema::TLS),
            ca_file: self.ca_file(table),
            verify: self.flag(table, &schema::VERIFY),
            connect_timeout: self.seconds(table, &schema::CONNECT_TIMEOUT),
            tls_handshake_timeout: self.seconds(table, &schema::TLS_HANDSHAKE_TIMEOUT),
            response_header_timeout: self.limit(table, &schema::RESPONSE_HEADER_TIMEOUT),
            read_timeout: self.limit(table, &schema::READ_TIMEOUT),
            tunnel_timeout: self.limit(table, &schema::TUNNEL_TIMEOUT),
            idle_timeout: self.seconds(table, &schema::UPSTREAM_IDLE_TIMEOUT),
            max_idle_connections: self.count(table, &schema::MAX_IDLE_CONNECTIONS),
            host_header: match self.text(table, &schema::HOST_HEADER) {
                Some("client") => HostHeader::Client,
                Some("upstream") => HostHeader::Upstream,
                _ => HostHeader::Auto,
            },
        }
    }

    fn client(&mut self, table: &Table<'_>) -> Client {
        Client {
            max_connections: self.bound(table, &schema::MAX_CONNECTIONS),
            max_connections_per_address: self.bound(table, &schema::MAX_CONNECTIONS_PER_ADDRESS),
            head_timeout: self.limit(table, &schema::HEAD_TIMEOUT),
            stall_timeout: self.limit(table, &schema::STALL_TIMEOUT),
            min_rate: u32::try_from(self.whole(table, &schema::MIN_RATE))
                .ok()
                .filter(|rate| *rate > 0),
        }
    }

    fn ca_file(&mut self, table: &Table<'_>) -> Option<PathBuf> {
        let key = &schema::CA_FILE;
        let text = self.text(table, key)?;
        let path = self.paths.resolve(text);
        let reason = match file::read(&path) {
            Ok(content) if content.text.contains("-----BEGIN CERTIFICATE-----") => {
                return Some(path);
            }
            Ok(_) => "no certificate in it".to_owned(),
            Err(reason) => reason,
        };
        let origin = table.find(key).map(|node| node.origin);
        self.note(
            origin,
            key.path,
            format!("{path:?} ({reason})"),
            key.kind.allowed(),
        );
        None
    }

    fn token(&mut self, table: &Table<'_>) -> Token {
        let ttl = self.seconds(table, &schema::TTL);
        Token {
            ttl,
            refresh_check: self.refresh_check(table, ttl),
            renew_on: self.statuses(table, &schema::RENEW_ON),
            busy_pattern: self
                .text(table, &schema::BUSY_PATTERN)
                .unwrap_or_default()
                .to_owned(),
            scope: match self.text(table, &schema::SCOPE) {
                Some("pool") => TokenScope::Pool,
                _ => TokenScope::Backend,
            },
            login_from_clients: self.flag(table, &schema::LOGIN_FROM_CLIENTS),
            login_path: self
                .text(table, &schema::LOGIN_PATH)
                .unwrap_or_default()
                .to_owned(),
            login_timeout: self.seconds(table, &schema::LOGIN_TIMEOUT),
            login_concurrency: self.count(table, &schema::LOGIN_CONCURRENCY),
            max_token_bytes: self.count(table, &schema::MAX_TOKEN_BYTES),
        }
    }

    /// A check as rare as tokens expire would find them expired. Left out, it follows a short life.
    fn refresh_check(&mut self, table: &Table<'_>, ttl: Duration) -> Duration {
        let key = &schema::REFRESH_CHECK;
        let check = self.seconds(table, key);
        match table.find(key) {
            None => check.min(ttl / 2),
            Some(node) if check >= ttl => {
                let allowed = format!(
                    "less than token.ttl_seconds ({}), or nothing",
                    ttl.as_secs()
                );
                self.note(Some(node.origin), key.path, node.value.describe(), allowed);
                check
            }
            Some(_) => check,
        }
    }

    fn lease(&mut self, table: &Table<'_>) -> Lease {
        Lease {
            mode: match self.text(table, &schema::MODE) {
                Some("request") => LeaseMode::Request,
                _ => LeaseMode::Connection,
            },
            wait_timeout: self.limit(table, &schema::WAIT_TIMEOUT),
            max_waiting: self.bound(table, &schema::LEASE_MAX_WAITING),
            idle_timeout: self.limit(table, &schema::LEASE_IDLE_TIMEOUT),
            contended_idle: Some(self.whole(table, &schema::CONTENDED_IDLE))
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
            max_hold: self.limit(table, &schema::MAX_HOLD),
            max_hold_grace: self.seconds(table, &schema::MAX_HOLD_GRACE),
            abandoned: match self.text(table, &schema::ABANDONED) {
                Some("login") => Abandoned::Login,
                Some("release") => Abandoned::Release,
                _ => Abandoned::Wait,
            },
            abandoned_wait: self.seconds(table, &schema::ABANDONED_WAIT),
            reset: match self.text(table, &schema::RESET) {
                Some("login") => Reset::Login,
                _ => Reset::None,
            },
        }
    }

    fn telemetry(&mut self, table: &Table<'_>) -> Telemetry {
        Telemetry {
            log_filter: self
                .text(table, &schema::LOG_FILTER)
                .unwrap_or_default()
                .to_owned(),
            log_format: match self.text(table, &schema::LOG_FORMAT) {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Text,
            },
            otlp_endpoint: self.text(table, &schema::OTLP_ENDPOINT).map(str::to_owned),
        }
    }
}

/// Whether the second of the two could not be bound. Port 0 is whichever the kernel has free.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || a.is_ipv4() == b.is_ipv4() && (any(a) || any(b)))
}
