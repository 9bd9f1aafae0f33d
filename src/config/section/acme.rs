//! `[acme]`.

use std::{fmt, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    credentials::{SECRET_FILE, read_secret},
    listener::CaFile,
    section,
};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key, Kind},
    reader::{Reader, Table},
    shape,
    values::Read,
    write::{Map, Write},
};

section! {
    /// `[acme]`: where hosts with `certificate = "acme"` get their certificates from.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Acme in "acme", then what_belongs_together {
        /// Whether it is done at all.
        pub enabled: bool = ENABLED;
        /// `letsencrypt`, `letsencrypt-staging`, or the URL of another authority's directory.
        pub directory: String = Key::text(
            "acme.directory",
            "\"letsencrypt\", \"letsencrypt-staging\" or a URL that begins with https://",
            directory,
            Absent::Text(LETSENCRYPT.0),
        );
        /// Who vouches for that server itself; `None`: those whom this machine trusts.
        pub ca_file: Option<CaFile> = Key::text(
            "acme.ca_file",
            "the path of a PEM file",
            shape::file_path,
            Absent::Unset,
        );
        /// Where the authority writes to when something is wrong.
        pub email: Option<String> =
            Key::text("acme.email", "an e-mail address", email, Absent::Unset);
        /// Whether the authority's terms of service are agreed to.
        pub accept_terms: bool = ACCEPT_TERMS;
        /// How it is proved that a host is ours.
        pub challenge: Challenge = Key::choice("acme.challenge", Challenge::WORDS);
        /// Name of the account elsewhere that the authority binds ours to.
        pub eab_kid: Option<String> =
            Key::text("acme.eab_kid", "text that is not empty", shape::user_name, Absent::Unset);
        /// The key that proves it.
        pub eab_hmac_key: Option<HmacKey> = EAB_HMAC_KEY;
        /// The file that it comes from.
        pub eab_hmac_key_file: Option<PathBuf> = EAB_HMAC_KEY_FILE;
    }
}

const ENABLED: Key = Key::flag("acme.enabled", false);
const ACCEPT_TERMS: Key = Key::flag("acme.accept_terms", false);
const EAB_HMAC_KEY: Key = Key::new("acme.eab_hmac_key", Kind::Secret, Absent::Unset);
const EAB_HMAC_KEY_FILE: Key = Key::text(
    "acme.eab_hmac_key_file",
    SECRET_FILE,
    shape::file_path,
    Absent::Unset,
);

/// Names for directories, with these.
const LETSENCRYPT: (&str, &str) = (
    "letsencrypt",
    "https://acme-v02.api.letsencrypt.org/directory",
);
const STAGING: (&str, &str) = (
    "letsencrypt-staging",
    "https://acme-staging-v02.api.letsencrypt.org/directory",
);

choice! {
    /// How an authority is shown that a host is ours.
    pub enum Challenge {
        /// It asks for a file, without TLS (RFC 8555, 8.3).
        Http01 = "http-01",
        /// It shakes hands with a protocol of its own (RFC 8737).
        TlsAlpn01 = "tls-alpn-01",
    }
}

impl Acme {
    /// Where the authority's directory is.
    #[must_use]
    pub fn url(&self) -> &str {
        let named = [LETSENCRYPT, STAGING]
            .into_iter()
            .find(|(name, _)| *name == self.directory);
        named.map_or(&self.directory, |(_, url)| url)
    }
}

fn directory(text: &str) -> bool {
    let is_named = [LETSENCRYPT.0, STAGING.0].contains(&text);
    is_named || (text.starts_with("https://") && shape::http_url(text))
}

fn email(text: &str) -> bool {
    let has_place = text
        .split_once('@')
        .is_some_and(|(name, place)| !name.is_empty() && shape::host(place));
    has_place && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A key that is shared with the authority, in its bytes. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey(Zeroizing<Vec<u8>>);

impl HmacKey {
    /// The bytes. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

/// In base64url, as authorities give it, here or in its file.
impl Read for Option<HmacKey> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, _: &Key) -> Self {
        let keys = const { (&EAB_HMAC_KEY, &EAB_HMAC_KEY_FILE) };
        let given = [keys.0, keys.1].map(|key| table.find(key));
        let origin = given.into_iter().flatten().next()?.origin;
        let (text, _) = read_secret(reader, table, keys)?;
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text.expose().trim_end_matches('='));
        if let Ok(bytes) = decoded {
            return Some(HmacKey(Zeroizing::new(bytes)));
        }
        let name = table.dotted(keys.0.leaf());
        reader.note(Some(origin), &name, "something else", "text in base64url");
        None
    }
}

/// Nothing: a secret is written nowhere.
impl Write for Option<HmacKey> {
    fn write(&self, _: &Key, _: &mut Map) {}
}

fn what_belongs_together(acme: Acme, reader: &mut Reader<'_>, table: &Table<'_>) -> Acme {
    if acme.enabled && !acme.accept_terms {
        let accepted = table.find(&ACCEPT_TERMS);
        let origin = accepted.or_else(|| table.find(&ENABLED));
        let name = table.dotted(ACCEPT_TERMS.leaf());
        let allowed = "true, once you have read the authority's terms of service and agree to them";
        reader.note(origin.map(|node| node.origin), &name, "false", allowed);
    }
    let key = [EAB_HMAC_KEY, EAB_HMAC_KEY_FILE];
    let has_key = key.iter().any(|key| table.find(key).is_some());
    if acme.eab_kid.is_some() != has_key {
        let found = if has_key {
            "eab_hmac_key without eab_kid"
        } else {
            "eab_kid without eab_hmac_key"
        };
        reader.note(table.origin, &table.name, found, "both, or neither");
    }
    acme
}
