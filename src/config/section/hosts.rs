//! `[hosts]`: other hosts before the same servers with the same accounts.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::{YEAR, section};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Effect, Key},
    problem::{Place, Problem},
    reader::{Reader, Table},
    shape,
};

/// Keeps the words of a section in one shape: no reload puts any of them in force.
const fn fixed(key: Key) -> Key {
    key.takes(Effect::Restart)
}

const fn text(path: &'static str, allowed: &'static str, valid: fn(&str) -> bool) -> Key {
    fixed(Key::text(path, allowed, valid, Absent::Unset))
}

const fn file(path: &'static str, allowed: &'static str) -> Key {
    text(path, allowed, shape::file_path)
}

section! {
    /// `[hosts]`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Hosts in "hosts", then fits_together {
        /// The members of the etcd cluster that says which host has which sessions.
        pub endpoints: Vec<String> = ENDPOINTS;
        /// The name of this cluster of hosts.
        pub cluster: Option<String> = CLUSTER;
        /// The name of this host; `None`: the machine's.
        pub name: Option<String> = text("hosts.name", NAME, is_name);
        /// What all keys in etcd begin with.
        pub prefix: String = fixed(Key::text(
            "hosts.prefix",
            "a path such as \"/tpp/1/\"",
            is_prefix,
            Absent::Text("/tpp/1/"),
        ));
        /// Names the accounts' server in etcd; `None`: by what it is and where.
        pub upstream_id: Option<String> = text("hosts.upstream_id", NAME, is_name);
        /// Roots to trust etcd's certificate by; `None`: the system's.
        pub ca_file: Option<PathBuf> = file("hosts.ca_file", "the path of a PEM file");
        /// This host's certificate for etcd.
        pub cert_file: Option<PathBuf> = CERT_FILE;
        /// The key of that.
        pub key_file: Option<PathBuf> = file("hosts.key_file", "the path of a PEM file");
        /// A user of etcd's.
        pub username: Option<String> = text("hosts.username", "a user name", shape::user_name);
        /// The file of that user's password.
        pub password_file: Option<PathBuf> = PASSWORD_FILE;
        /// Whether etcd may be spoken to without TLS over a network.
        pub insecure: bool = fixed(Key::flag("hosts.insecure", false));
        /// How long a host may be silent before others take its floating sessions.
        pub takeover: Duration = fixed(Key::number("hosts.takeover_seconds", (5, 3600), 15));
        /// Of its sessions a host keeps so many in a hundred without etcd.
        pub home_percent: u32 = fixed(Key::number("hosts.home_percent", (0, 100), 50));
        /// How long a host may be silent before others take those too.
        pub home_takeover: Duration = HOME_TAKEOVER;
        /// Hosts expected at the start.
        pub expected: u32 = fixed(
            Key::number("hosts.expected", (0, 1000), 0).zero("those that are there"),
        );
        /// Sessions that a host has at least where somebody waits.
        pub min_share: u32 = fixed(Key::number("hosts.min_share", (0, 1000), 1));
        /// How much longer somebody may wait at another host before a session moves there.
        pub fair_gap: Duration = fixed(Key::number("hosts.fair_gap_seconds", (0, 3600), 1));
        /// The newest format of records that this host speaks; 0: the newest that this tpp knows.
        pub newest_format: u32 = fixed(
            Key::number("hosts.newest_format", (0, 1000), 0).zero("the newest that this tpp knows"),
        );
        /// How a dead host's sessions come back into use.
        pub takeover_by: TakeoverBy = fixed(Key::choice("hosts.takeover", TakeoverBy::WORDS));
    }
}

choice! {
    /// How a dead host's sessions come back into use.
    pub enum TakeoverBy {
        /// By a login at once.
        Login = "login",
        /// When its tokens are gone at the server.
        Expire = "expire",
    }
}

const ENDPOINT: &str = "a URL such as \"https://etcd1:2379\"; http:// for a loopback address, or with hosts.insecure = true";

pub(in crate::config) const ENDPOINTS: Key =
    fixed(Key::texts("hosts.endpoints", ENDPOINT, is_endpoint));

const NAME: &str = "a name of 1 to 64 letters, digits and any of . _ -";

const CLUSTER: Key = text("hosts.cluster", NAME, is_name);

const CERT_FILE: Key = file("hosts.cert_file", "the path of a PEM file");

const PASSWORD_FILE: Key = file(
    "hosts.password_file",
    "the path of a file that has the password",
);

const HOME_TAKEOVER: Key = fixed(Key::number("hosts.home_takeover_seconds", (60, YEAR), 7200));

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn is_prefix(text: &str) -> bool {
    let names = text.trim_matches('/').split('/');
    text.starts_with('/') && text.len() <= 100 && names.into_iter().all(is_name)
}

/// Scheme and authority, nothing after it.
fn is_endpoint(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    shape::http_url(text)
        && rest.is_some_and(|rest| !rest.trim_end_matches('/').contains(['/', '?', '#', '@']))
}

/// Whether it leads to this machine alone.
fn is_loopback(endpoint: &str) -> bool {
    let authority = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What a key alone does not tell. Nothing, where the section is left out.
fn fits_together(hosts: Hosts, reader: &mut Reader<'_>, table: &Table<'_>) -> Hosts {
    if table.entries.is_empty() {
        return hosts;
    }
    let mut note = |key: &Key, found: &str, allowed: &str| {
        let origin = table.find(key).map(|node| node.origin).or(table.origin);
        reader.note(origin, &table.dotted(key.leaf()), found, allowed);
    };
    if hosts.endpoints.is_empty() && table.find(&ENDPOINTS).is_none() {
        note(&ENDPOINTS, "nothing", ENDPOINT);
    }
    if hosts.cluster.is_none() && table.find(&CLUSTER).is_none() {
        note(&CLUSTER, "nothing", NAME);
    }
    let is_open = |one: &&String| one.starts_with("http://") && !is_loopback(one);
    if let Some(open) = hosts
        .endpoints
        .iter()
        .find(is_open)
        .filter(|_| !hosts.insecure)
    {
        note(&ENDPOINTS, &format!("{open:?}"), ENDPOINT);
    }
    if hosts.cert_file.is_some() != hosts.key_file.is_some() {
        note(
            &CERT_FILE,
            "one of cert_file and key_file",
            "both of them, or neither",
        );
    }
    if hosts.username.is_some() != hosts.password_file.is_some() {
        note(
            &PASSWORD_FILE,
            "one of username and password_file",
            "both of them, or neither",
        );
    }
    if hosts.home_takeover < hosts.takeover {
        let allowed = "at least hosts.takeover_seconds";
        note(
            &HOME_TAKEOVER,
            &hosts.home_takeover.as_secs().to_string(),
            allowed,
        );
    }
    hosts
}

/// Whether the file of the password of etcd's user has one. It is read again for each connection.
pub(in crate::config) fn check_password(reader: &mut Reader<'_>, table: &Table<'_>, hosts: &Hosts) {
    let Some(path) = &hosts.password_file else {
        return;
    };
    let (origin, name) = (
        table.find(&PASSWORD_FILE).map(|node| node.origin),
        table.dotted(PASSWORD_FILE.leaf()),
    );
    let allowed = PASSWORD_FILE.kind.allowed();
    match reader.files.read(path) {
        Err(reason) => reader.note(origin, &name, format!("{path:?} ({reason})"), allowed),
        Ok(content) if content.text.lines().next().is_none_or(str::is_empty) => {
            reader.problems.push(Problem {
                place: Place::file(path, Some(1)),
                key: name,
                found: "an empty line".to_owned(),
                allowed,
            });
        }
        Ok(_) => {}
    }
}
