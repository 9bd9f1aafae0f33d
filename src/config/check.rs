//! Tree to [`Config`]: one walk that gathers every problem.
//!
//! A value that does not fit is noted and its default taken in its stead, so that the walk goes on. The
//! configuration that comes out counts only when nothing was noted.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    Config, Lease, LeaseMode, LogFormat, Telemetry, Token, Upstream, Workers, credentials,
    env::Overrides,
    file,
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
    let [workers, upstream, token, lease, telemetry] =
        schema::SECTIONS.map(|name| check.section(&top, name));
    let (listen, health_listen) = check.listeners(&top);
    Config {
        listen,
        trust_forwarded: check.flag(&top, &schema::TRUST_FORWARDED),
        health_listen,
        control_socket: check.control_socket(&top),
        workers: check.workers(&workers),
        upstream: check.upstream(&upstream),
        lease: check.lease(&lease),
        credentials: credentials::read(check, &top, &token),
        token: check.token(&token),
        telemetry: check.telemetry(&telemetry),
        load_warnings: Vec::new(),
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
            idle_timeout: self.seconds(table, &schema::UPSTREAM_IDLE_TIMEOUT),
            max_idle_connections: self.count(table, &schema::MAX_IDLE_CONNECTIONS),
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
            max_waiting: Some(self.count(table, &schema::LEASE_MAX_WAITING))
                .filter(|most| *most > 0),
            idle_timeout: self.limit(table, &schema::LEASE_IDLE_TIMEOUT),
            max_hold: self.limit(table, &schema::MAX_HOLD),
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
