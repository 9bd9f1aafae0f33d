//! Where what is known of hosts and accounts stands in etcd.
use crate::account::{Account, Upstream};

/// The keys of one upstream: all begin with the configured prefix and the upstream's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keys {
    root: String,
}

/// What stands at a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The [`Meta`](crate::records::Meta) of all.
    Meta,
    /// A host's [`Generation`](crate::records::Generation).
    Generation(String),
    /// A host's [`Beat`](crate::records::Beat).
    Beat(String),
    /// An account's [`Shares`](crate::records::Shares).
    Account(Account),
}

impl Keys {
    /// Keys below `prefix`, which ends in `/` or is given one.
    #[must_use]
    pub fn new(prefix: &str, upstream: &Upstream) -> Self {
        Self {
            root: format!("{}/{}/", prefix.trim_end_matches('/'), upstream.as_str()),
        }
    }

    /// What all keys of this upstream begin with: to list and to watch.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The key of a place.
    #[must_use]
    pub fn of(&self, place: &Place) -> String {
        let root = &self.root;
        match place {
            Place::Meta => format!("{root}meta"),
            Place::Generation(host) => format!("{root}g/{host}"),
            Place::Beat(host) => format!("{root}h/{host}"),
            Place::Account(account) => format!("{root}a/{account}"),
        }
    }

    /// What the keys of all generations begin with, and those of all signs of life.
    #[must_use]
    pub fn of_all_hosts(&self) -> [String; 2] {
        ["g", "h"].map(|kind| format!("{}{kind}/", self.root))
    }

    /// What stands at a key; `None` for a key that is none of ours.
    #[must_use]
    pub fn place(&self, key: &str) -> Option<Place> {
        let rest = key.strip_prefix(&self.root)?;
        match rest.split_once('/') {
            None => (rest == "meta").then_some(Place::Meta),
            Some(("g", host)) => is_name(host).then(|| Place::Generation(host.to_owned())),
            Some(("h", host)) => is_name(host).then(|| Place::Beat(host.to_owned())),
            Some(("a", account)) => Account::parse(account).map(Place::Account),
            Some(_) => None,
        }
    }
}

/// Whether a text may name a host: 1 to 64 letters, digits, `.`, `-` and `_`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}
