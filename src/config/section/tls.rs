//! `[tls]`.

use std::time::Duration;

use super::section;
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key},
    shape,
};

section! {
    /// `[tls]`: what holds for all listeners with TLS.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Tls in "tls" {
        /// The oldest version that is spoken.
        pub min_version: TlsVersion = Key::choice("tls.min_version", TlsVersion::WORDS);
        /// Name of the certificate for clients that name no host, or one without a certificate; `None`: they are refused.
        pub default_certificate: Option<String> = DEFAULT_CERTIFICATE;
        /// How long a client may take from its connection to the end of the handshake.
        pub handshake_timeout: Duration = Key::number("tls.handshake_timeout_seconds", (1, 300), 5);
    }
}

pub(in crate::config) const DEFAULT_CERTIFICATE: Key = Key::text(
    "tls.default_certificate",
    "a name of [[certificates]]",
    shape::name,
    Absent::Unset,
);

choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// 1.2, and what is newer.
        V12 = "1.2",
        /// 1.3 alone.
        V13 = "1.3",
    }
}
