//! `[api]`.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::section;
use crate::api_tokens::ApiTokens;
use crate::config::text::{
    key::{Default as Absent, Effect, Key},
    problem::{Place, Problem},
    reader::{Reader, Table},
    shape,
    spelled::Spelled,
};

section! {
    /// `[api]`: the management API.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Api in "api", then not_open_to_all {
        /// Where it is served.
        pub listen: ApiListen = LISTEN;
        /// Lines `NAME:ROLE:SHA256-HEX`; `None`: everybody who reaches it may do everything.
        pub tokens_file: Option<PathBuf> = TOKENS_FILE;
        /// Values of `Host` that are taken besides its own address.
        pub allow_hosts: Vec<String> =
            Key::texts("api.allow_hosts", "a host name or address, with or without a port", shape::authority);
        /// Origins from which browsers may call it.
        pub cors_origins: Vec<String> = Key::texts(
            "api.cors_origins",
            "an origin such as \"https://ops.example.com\"",
            shape::web_origin,
        );
        /// Whether changes outlive the process.
        pub persist: bool = Key::flag("api.persist", true);
        /// Whether a change must name the version it is made to (`If-Match`).
        pub require_if_match: bool = Key::flag("api.require_if_match", false);
    }
}

pub(in crate::config) const TOKENS_FILE: Key = Key::text(
    "api.tokens_file",
    "the path of a file of NAME:ROLE:SHA256-HEX lines",
    shape::file_path,
    Absent::Unset,
);

pub(in crate::config) const LISTEN: Key = Key::text(
    "api.listen",
    "an IP address with a port, such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path of at most 107 bytes",
    |text| ApiListen::spelled(text).is_some(),
    Absent::Unset,
)
.takes(Effect::Restart);

/// Where the management API is served.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ApiListen {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A port of the loopback address that the kernel chooses.
impl Default for ApiListen {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl Spelled for ApiListen {
    fn spelled(text: &str) -> Option<Self> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().ok().map(Self::Tcp);
        };
        // The kernel's room for a socket's path, less its closing zero.
        let fits = path.starts_with('/') && path.len() <= 107 && shape::file_path(path);
        fits.then(|| Self::Unix(path.into()))
    }

    fn spell(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ApiListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spell())
    }
}

/// The tokens of `tokens_file`. An empty list lets nobody in.
pub(in crate::config) fn tokens(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    api: &Api,
) -> Option<ApiTokens> {
    let path = api.tokens_file.as_ref()?;
    let name = table.dotted(TOKENS_FILE.leaf());
    let content = match reader.files.read(path) {
        Ok(content) => content,
        Err(reason) => {
            let origin = table.find(&TOKENS_FILE).map(|node| node.origin);
            let allowed = TOKENS_FILE.kind.allowed();
            reader.note(origin, &name, format!("{path:?} ({reason})"), allowed);
            return None;
        }
    };
    let wrong = match ApiTokens::parse(&content.text) {
        Ok(tokens) => return Some(tokens),
        Err(wrong) => wrong,
    };
    let problems = wrong.into_iter().map(|(line, found)| Problem {
        place: Place::file(path, Some(line)),
        key: name.clone(),
        found,
        allowed: "lines of NAME:ROLE:SHA256-HEX, # comments, empty lines".to_owned(),
    });
    reader.problems.extend(problems);
    None
}

/// Whoever reaches it may change everything: without tokens only this machine's users may.
fn not_open_to_all(api: Api, reader: &mut Reader<'_>, table: &Table<'_>) -> Api {
    if let ApiListen::Tcp(address) = api.listen
        && !address.ip().to_canonical().is_loopback()
        && api.tokens_file.is_none()
    {
        let origin = table.find(&LISTEN).map(|node| node.origin);
        let found = format!("\"{address}\" without api.tokens_file");
        let allowed = "a loopback address or a Unix socket, or else with api.tokens_file";
        reader.note(origin, &table.dotted(LISTEN.leaf()), found, allowed);
    }
    api
}
