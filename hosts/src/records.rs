//! The records in etcd, as JSON. Unknown fields are passed over, so that a later tpp may add some.
use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::formats::{Formats, NAMED};

/// `meta`: what all hosts of an upstream must agree upon. The first host writes it, and whoever raises the format.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Meta {
    /// How accounts' records are written. It only grows.
    pub format: u32,
    /// The cluster that this upstream's accounts belong to.
    pub cluster: String,
    /// After how long a silent host loses its floating sessions, ms.
    pub takeover_ms: u64,
    /// After how long it loses its home sessions, ms.
    pub home_takeover_ms: u64,
}

/// A life of a host: 128 random bits in hexadecimal digits; empty when it is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub String);

/// `g/NAME`: which of a host's shares count. Written at joins and fences alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Home shares count while this is theirs.
    pub inc: Incarnation,
    /// Floating shares count while this, and `inc`, are theirs. It only grows.
    #[serde(rename = "gen", deserialize_with = "long")]
    pub generation: u64,
    /// For how long others have seen the host silent since it was fenced, s.
    pub quiet: u64,
    /// The machine: a hash of what does not change over a reboot, and differs between clones.
    pub host: String,
}

/// What a host is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Going {
    /// Takes and lends sessions.
    Live,
    /// Gives away what it has.
    Leaving,
}

/// `h/NAME`: a sign of life, with what others need to know to share fairly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beat {
    /// Counts the beats of this life.
    pub n: u64,
    /// The generation it was written under.
    #[serde(rename = "gen", deserialize_with = "long")]
    pub generation: u64,
    /// What the host is about.
    pub state: Going,
    /// Sessions it has: floating, home.
    #[serde(deserialize_with = "pair")]
    pub has: [u32; 2],
    /// Sessions that are lent.
    #[serde(deserialize_with = "count")]
    pub in_use: u32,
    /// Sessions that were idle all the time since the beat before.
    #[serde(deserialize_with = "count")]
    pub free: u32,
    /// Who waits for a session.
    #[serde(deserialize_with = "count")]
    pub waiting: u32,
    /// For how long the first of them has waited, ms.
    #[serde(deserialize_with = "long")]
    pub oldest_ms: u64,
    /// In use and waiting, smoothed.
    #[serde(deserialize_with = "count")]
    pub wants: u32,
    /// A fingerprint of the accounts and limits in its configuration.
    pub cfg: String,
    /// tpp's version.
    pub version: String,
    /// The formats that it reads and writes.
    #[serde(default)]
    pub formats: Formats,
}

/// What a host has of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Share {
    /// The life of the host that it was given to.
    pub inc: Incarnation,
    /// The generation that it was given to.
    pub generation: u64,
    /// Sessions that others may take when the host is silent for `takeover`.
    pub floating: u32,
    /// Sessions that others may take when it is silent for `home_takeover`.
    pub home: u32,
}

/// A share as it is written, in either format: both are read whichever is in force.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Row(
        Incarnation,
        #[serde(deserialize_with = "long")] u64,
        #[serde(deserialize_with = "count")] u32,
        #[serde(deserialize_with = "count")] u32,
    ),
    Named {
        inc: Incarnation,
        #[serde(rename = "gen", deserialize_with = "long")]
        generation: u64,
        #[serde(deserialize_with = "count")]
        floating: u32,
        #[serde(deserialize_with = "count")]
        home: u32,
    },
}

/// `a/ACCOUNT`: who has how much of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "WrittenShares")]
pub struct Shares {
    /// Sessions that the account allows.
    pub limit: u32,
    /// By host.
    pub shares: BTreeMap<String, Share>,
    /// Whether any share stands there as a row, which a later tpp may not read.
    pub has_rows: bool,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct WrittenShares {
    #[serde(deserialize_with = "count")]
    limit: u32,
    shares: BTreeMap<String, Written>,
}

/// A number of sessions or of who waits: so many that sums of them stay numbers.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if number > 1_000_000 {
        Err(D::Error::custom("a number of at most 1000000 is expected"))
    } else {
        Ok(number)
    }
}

fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u32; 2], D::Error> {
    let pair = <[u32; 2]>::deserialize(deserializer)?;
    if pair.iter().any(|number| *number > 1_000_000) {
        Err(D::Error::custom("numbers of at most 1000000 are expected"))
    } else {
        Ok(pair)
    }
}

/// A generation or a time, as far from the end of numbers.
fn long<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > 1 << 52 {
        Err(D::Error::custom("a number of at most 2^52 is expected"))
    } else {
        Ok(number)
    }
}

impl From<WrittenShares> for Shares {
    fn from(written: WrittenShares) -> Self {
        let is_row = |share: &Written| matches!(share, Written::Row(..));
        Self {
            limit: written.limit,
            has_rows: written.shares.values().any(is_row),
            shares: written
                .shares
                .into_iter()
                .map(|(host, share)| (host, share.into()))
                .collect(),
        }
    }
}

impl Shares {
    /// As it is written in a format.
    #[must_use]
    pub fn written_in(&self, format: u32) -> impl Serialize + use<> {
        let shares = self.shares.iter();
        WrittenShares {
            limit: self.limit,
            shares: shares
                .map(|(host, share)| (host.clone(), share.written_in(format)))
                .collect(),
        }
    }
}

impl From<Written> for Share {
    fn from(written: Written) -> Self {
        let (Written::Row(inc, generation, floating, home)
        | Written::Named {
            inc,
            generation,
            floating,
            home,
        }) = written;
        Self {
            inc,
            generation,
            floating,
            home,
        }
    }
}

impl Incarnation {
    /// That of a host whose life is over: no share is its.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Share {
    fn written_in(&self, format: u32) -> Written {
        let (inc, generation, floating, home) =
            (self.inc.clone(), self.generation, self.floating, self.home);
        if format < NAMED {
            return Written::Row(inc, generation, floating, home);
        }
        Written::Named {
            inc,
            generation,
            floating,
            home,
        }
    }

    /// What of it counts beside a host's generation: floating, home.
    #[must_use]
    pub fn counted(&self, of: Option<&Generation>) -> [u32; 2] {
        match of {
            Some(of) if of.inc == self.inc && !of.inc.is_none() => {
                let floating = if of.generation == self.generation {
                    self.floating
                } else {
                    0
                };
                [floating, self.home]
            }
            _ => [0, 0],
        }
    }
}
