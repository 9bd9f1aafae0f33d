//! Certificates, as messages tell of them.

use serde::{Deserialize, Serialize};

/// A certificate that clients can be shown, or one that tpp is to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Its name in the configuration; `acme:` and the host of one that tpp gets by itself.
    pub name: String,
    /// Host names and addresses that it is for.
    pub hosts: Vec<String>,
    /// Who vouches for it, as it stands there; empty: there is none yet.
    #[serde(default)]
    pub issuer: String,
    /// Where it comes from: its file, or the directory of the authority that tpp asks.
    #[serde(default)]
    pub source: String,
    /// Until when it is good, Unix seconds; 0: there is none yet.
    pub not_after: i64,
    /// Why its files, as they are now, cannot be taken; the certificate is an older one then.
    pub error: Option<String>,
    /// Of one that tpp gets by itself: how it stands with the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
}

/// How it stands with a certificate that tpp gets by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// `waiting` for its time, `ordering`, or `failing`: the last try was in vain.
    pub state: String,
    /// When the next one is ordered, Unix seconds.
    pub next_at: u64,
    /// Tries in vain, one after another.
    pub failures: u32,
    /// Why the last one was, in the authority's words.
    pub error: Option<String>,
}
