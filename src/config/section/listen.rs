//! The top of the file: where tpp listens.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    Section,
    api::{self, Api, ApiListen},
    listener::Listener,
    trusted::TrustedProxies,
};
use crate::config::{
    Config,
    text::{
        collections::{NETWORK, network},
        key::{Default, Effect, Key, Kind},
        reader::{Bound, Reader, Table},
        shape,
        tree::Value,
        values::Read,
    },
};

const LISTEN: Key = Key::new("listen", Kind::Addresses, Default::Text("0.0.0.0:8080"))
    .takes(Effect::Workers)
    .variables(&["TPP_LISTEN"]);
const TRUST_FORWARDED: Key = Key::flag("trust_forwarded", false);
pub(in crate::config) const HEALTH_LISTEN: Key = Key::new(
    "health_listen",
    Kind::Address,
    Default::Text("0.0.0.0:9090"),
)
.takes(Effect::Restart)
.variables(&["TPP_HEALTH_LISTEN"]);
const CONTROL_SOCKET: Key = Key::text(
    "control_socket",
    "a path of at most 107 bytes",
    shape::file_path,
    Default::Text("/run/tpp/control.sock"),
)
.takes(Effect::Restart);

const TRUSTED_PROXIES: Key = Key::texts("trusted_proxies", NETWORK, |text| network(text).is_some());
const STATE_DIRECTORY: Key = Key::text(
    "state_directory",
    "the path of a directory",
    shape::file_path,
    Default::Text("/var/lib/tpp"),
)
.takes(Effect::Restart);

pub(in crate::config) const KEYS: &[Key] = &[
    LISTEN,
    TRUST_FORWARDED,
    TRUSTED_PROXIES,
    HEALTH_LISTEN,
    CONTROL_SOCKET,
    STATE_DIRECTORY,
];

/// Those of them that open a socket.
pub(in crate::config) const SOCKETS: [&str; 4] = [
    LISTEN.path,
    HEALTH_LISTEN.path,
    CONTROL_SOCKET.path,
    api::LISTEN.path,
];

/// What stands there.
pub(in crate::config) struct Listen {
    pub(in crate::config) listen: Vec<SocketAddr>,
    pub(in crate::config) trust_forwarded: bool,
    pub(in crate::config) trusted_proxies: TrustedProxies,
    pub(in crate::config) health_listen: SocketAddr,
    pub(in crate::config) control_socket: PathBuf,
    pub(in crate::config) state_directory: PathBuf,
}

impl Listen {
    pub(in crate::config) fn read(reader: &mut Reader<'_>, top: &Table<'_>) -> Self {
        // Who has listeners may do without.
        let is_elsewhere = top.find(&LISTEN).is_none() && top.named(Listener::NAME).is_some();
        let listen = if is_elsewhere {
            Vec::new()
        } else {
            reader.addresses(top, &LISTEN)
        };
        let health = reader.addresses(top, &HEALTH_LISTEN);
        note_overlaps(reader, &listen, &health);
        let trust_forwarded = bool::read(reader, top, &TRUST_FORWARDED);
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            listen: listen.iter().map(|one| one.address).collect(),
            trust_forwarded,
            trusted_proxies: trusted_proxies(reader, top, trust_forwarded),
            health_listen: health.first().map_or(none, |one| one.address),
            control_socket: control_socket(reader, top),
            state_directory: state_directory(reader, top),
        }
    }
}

/// Notes an API that could not be bound beside them.
pub(in crate::config) fn note_overlap_of_api(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    config: &Config,
) {
    let Some(ApiListen::Tcp(address)) = config.api.as_ref().map(|api| &api.listen) else {
        return;
    };
    let listen = config.listen.iter().map(|one| (LISTEN.path, one));
    let mut others = listen.chain([(HEALTH_LISTEN.path, &config.health_listen)]);
    let Some((key, other)) = others.find(|(_, other)| overlap(*address, **other)) else {
        return;
    };
    let table = top.named(Api::NAME).map(|node| &node.value);
    let origin = match table {
        Some(Value::Table(entries)) => entries
            .iter()
            .find(|entry| entry.name == api::LISTEN.leaf()),
        _ => None,
    };
    let origin = origin.map(|entry| entry.node.origin);
    let found = format!("\"{address}\", which overlaps {key} \"{other}\"");
    reader.note(
        origin,
        api::LISTEN.path,
        found,
        "an address that no other key has",
    );
}

/// What is believed from everybody needs no list.
fn trusted_proxies(reader: &mut Reader<'_>, top: &Table<'_>, any: bool) -> TrustedProxies {
    let key = &TRUSTED_PROXIES;
    let networks = Vec::read(reader, top, key);
    if any && !networks.is_empty() {
        let origin = top.find(key).map(|node| node.origin);
        let found = "a list beside trust_forwarded = true";
        let allowed = "either, for trust_forwarded = true believes everybody";
        reader.note(origin, key.path, found, allowed);
    }
    if any {
        TrustedProxies::Any
    } else {
        TrustedProxies::From(networks)
    }
}

/// The file's, or systemd's, or the default.
fn state_directory(reader: &mut Reader<'_>, top: &Table<'_>) -> PathBuf {
    match reader.paths.state() {
        Some(path) if top.find(&STATE_DIRECTORY).is_none() => path.to_owned(),
        _ => PathBuf::read(reader, top, &STATE_DIRECTORY),
    }
}

/// Those keys whose values are not the same.
pub(in crate::config) fn differing(old: &Config, new: &Config) -> Vec<&'static Key> {
    let keys = [
        (const { &LISTEN }, old.listen != new.listen),
        (
            const { &TRUST_FORWARDED },
            old.trust_forwarded != new.trust_forwarded,
        ),
        (
            const { &TRUSTED_PROXIES },
            old.trusted_proxies != new.trusted_proxies
                && old.trust_forwarded == new.trust_forwarded,
        ),
        (
            const { &HEALTH_LISTEN },
            old.health_listen != new.health_listen,
        ),
        (
            const { &CONTROL_SOCKET },
            old.control_socket != new.control_socket,
        ),
        (
            const { &STATE_DIRECTORY },
            old.state_directory != new.state_directory,
        ),
    ];
    keys.into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

fn note_overlaps(reader: &mut Reader<'_>, listen: &[Bound], health: &[Bound]) {
    let all: Vec<_> = listen.iter().chain(health).collect();
    for (index, one) in all.iter().enumerate() {
        let before = &all[..index];
        let Some(other) = before
            .iter()
            .find(|other| overlap(one.address, other.address))
        else {
            continue;
        };
        let default = match one.origin {
            None => "the default ",
            Some(_) => "",
        };
        let found = format!(
            "{default}\"{}\", which overlaps {} \"{}\"",
            one.address, other.key, other.address
        );
        reader.note(one.origin, &one.key, found, "addresses that do not overlap");
    }
}

/// Whether the second of the two could not be bound. Port 0 is whichever the kernel has free.
pub(in crate::config) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || a.is_ipv4() == b.is_ipv4() && (any(a) || any(b)))
}

fn control_socket(reader: &mut Reader<'_>, top: &Table<'_>) -> PathBuf {
    let key = &CONTROL_SOCKET;
    let path = PathBuf::read(reader, top, key);
    let bytes = path.as_os_str().len();
    // The kernel's room for a socket's path, less its closing zero.
    if bytes > 107 {
        let origin = top.find(key).map(|node| node.origin);
        let found = format!("a path of {bytes} bytes");
        reader.note(origin, key.path, found, key.kind.allowed());
    }
    path
}
