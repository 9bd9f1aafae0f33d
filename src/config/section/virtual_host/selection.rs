//! Which backend serves a client: words with names in them.

use crate::config::text::{choice::choice, shape, spelled::Spelled};

/// By what clients are told apart in a split.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Selector {
    /// Each is drawn by lot.
    #[default]
    Random,
    /// By the value of this cookie.
    Cookie(String),
    /// By the value of this header, its name in lower case.
    Header(String),
    /// By IP address.
    Address,
}

impl Spelled for Selector {
    fn spelled(text: &str) -> Option<Self> {
        match text {
            "random" => Some(Self::Random),
            "address" => Some(Self::Address),
            _ => shape::header_of(text)
                .map(Self::Header)
                .or_else(|| shape::cookie_of(text).map(Self::Cookie)),
        }
    }

    fn spell(&self) -> String {
        match self {
            Self::Random => "random".to_owned(),
            Self::Address => "address".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

/// Which backend of a tag gets a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Balance {
    /// In turn, as often as their weights say, the turns of each spread evenly.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// Of two drawn by lot the one with fewer.
    RandomTwo,
    /// Always the same one for the same value.
    Hash(HashKey),
}

/// Of what the value is taken that decides for a backend.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HashKey {
    /// The client's IP address.
    Address,
    /// This header, its name in lower case.
    Header(String),
    /// This cookie.
    Cookie(String),
}

impl Spelled for Balance {
    fn spelled(text: &str) -> Option<Self> {
        match text {
            "round_robin" => return Some(Self::RoundRobin),
            "least_connections" => return Some(Self::LeastConnections),
            "random_two" => return Some(Self::RandomTwo),
            "hash:address" => return Some(Self::Hash(HashKey::Address)),
            _ => {}
        }
        let of = text.strip_prefix("hash:")?;
        let key = shape::header_of(of)
            .map(HashKey::Header)
            .or_else(|| shape::cookie_of(of).map(HashKey::Cookie));
        key.map(Self::Hash)
    }

    fn spell(&self) -> String {
        match self {
            Self::RoundRobin => "round_robin".to_owned(),
            Self::LeastConnections => "least_connections".to_owned(),
            Self::RandomTwo => "random_two".to_owned(),
            Self::Hash(HashKey::Address) => "hash:address".to_owned(),
            Self::Hash(HashKey::Header(name)) => format!("hash:header:{name}"),
            Self::Hash(HashKey::Cookie(name)) => format!("hash:cookie:{name}"),
        }
    }
}

choice! {
    /// Whether a client stays with its backend.
    pub enum Affinity {
        /// It need not.
        None = "none",
        /// By a cookie that tpp sets, and that names no server.
        Cookie = "cookie",
    }
}
