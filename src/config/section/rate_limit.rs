//! `[[rate_limits]]`.

use std::time::Duration;

use super::{YEAR, section};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key, Kind},
    reader::{Reader, Table},
    shape,
    spelled::Spelled,
};

/// Most requests that a rate or a burst may have.
const MOST: u64 = 1_000_000_000;

section! {
    /// `[[rate_limits]]`: how many requests each client may send.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct RateLimit in "rate_limits", then with_burst {
        /// Unique.
        pub name: String =
            Key::text("rate_limits.name", shape::NAME, shape::name, Absent::Required);
        /// So many requests …
        pub requests: u64 = Key::new(
            "rate_limits.requests",
            Kind::Whole { min: 1, max: MOST, zero: "" },
            Absent::Required,
        );
        /// … in this time.
        pub per: Duration = Key::number("rate_limits.per_seconds", (1, YEAR), 1);
        /// How many may come at once.
        pub burst: u64 = Key::number("rate_limits.burst", (0, MOST), 0).zero("as many as requests");
        /// Whose requests are counted together.
        pub key: RateKey = Key::spelled::<RateKey>(
            "rate_limits.key",
            "\"address\", \"api_key\", \"header:NAME\" or \"all\"",
            "address",
        );
        /// Whether answers tell the client what is left.
        pub headers: RateHeaders = Key::choice("rate_limits.headers", RateHeaders::WORDS);
    }
}

choice! {
    /// Whether answers tell the client what is left.
    pub enum RateHeaders {
        /// They do not.
        Off = "off",
        /// In `RateLimit` and `RateLimit-Policy`.
        Draft = "draft",
    }
}

/// Whose requests are counted together. Where the key is missing in a request, its address counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum RateKey {
    /// Those of an IP address, or of an IPv6 /64.
    #[default]
    Address,
    /// Those with the same API key.
    ApiKey,
    /// Those with the same value of this header, its name in lower case.
    Header(String),
    /// All.
    All,
}

impl Spelled for RateKey {
    fn spelled(text: &str) -> Option<Self> {
        match text {
            "address" => Some(Self::Address),
            "api_key" => Some(Self::ApiKey),
            "all" => Some(Self::All),
            _ => shape::header_of(text).map(Self::Header),
        }
    }

    fn spell(&self) -> String {
        match self {
            Self::Address => "address".to_owned(),
            Self::ApiKey => "api_key".to_owned(),
            Self::All => "all".to_owned(),
            Self::Header(name) => format!("header:{name}"),
        }
    }
}

fn with_burst(limit: RateLimit, _: &mut Reader<'_>, _: &Table<'_>) -> RateLimit {
    let burst = match limit.burst {
        0 => limit.requests,
        burst => burst,
    };
    RateLimit { burst, ..limit }
}
