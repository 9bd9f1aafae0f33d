//! What accounts and upstreams are called in etcd: hashes, so that no user name is there.
use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An account at an upstream, as the 128 bits that stand for it in etcd.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account([u8; 16]);

/// The upstream whose accounts are shared: its name in every key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream(String);

/// One of an account's counted places: `place` is below the account's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// Whose place it is.
    pub account: Account,
    /// Which of the account's places, from 0. A matter of this host alone: no other host knows it.
    pub place: u16,
}

impl Upstream {
    /// The upstream that a provider logs in to at an origin (`scheme://host:port`).
    #[must_use]
    pub fn of(provider: &str, origin: &str) -> Self {
        Self(hex(&digest(&["tpp upstream", provider, origin])[..8]))
    }

    /// The upstream with a name that the configuration gives it (`hosts.upstream_id`).
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// As it stands in keys.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Account {
    /// The account of a user at an upstream.
    #[must_use]
    pub fn of(upstream: &Upstream, user: &str) -> Self {
        Self::from_digest(&digest(&["tpp account", upstream.as_str(), user]))
    }

    /// An account from its 32 hexadecimal digits, as they stand in a key; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        (text.len() == 32).then_some(())?;
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            pair.bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
                .then_some(())?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// How much a host is meant to have an account, as a number that all hosts compute alike (rendezvous hashing): the
    /// host with the highest is the first to claim it.
    #[must_use]
    pub fn affinity(self, host: &str) -> u64 {
        affinity(&self.to_string(), host)
    }

    fn from_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("32 hexadecimal digits are expected"))
    }
}

/// The rendezvous hash of a thing and a host.
pub(crate) fn affinity(thing: &str, host: &str) -> u64 {
    let digest = digest(&["tpp affinity", thing, host]);
    u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

/// SHA-256 over parts, each with its length before it, so that no two lists of parts are one text.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
