//! What an administrator may set: the checked form that the rest of tpp sees.
//!
//! A file is read without judgement into a tree that remembers its lines (`text`), the environment
//! is laid over it (`env`), and one walk over the tree (`check`) has each section (`section`) read its keys. It yields
//! either a [`Config`] or every [`Problem`] found. Two of them are compared in one place (`diff`). Nothing here opens a
//! socket.
//!
//! TOML and YAML take the same keys. In YAML the first tpp's file is read as it is: its `credential` becomes
//! an account that draws `token.pool_size` sessions (10 if it is left out); all its other keys have kept
//! their names. `health_listen` has a default now, where the first tpp served no health endpoint without it.

use std::{net::SocketAddr, path::PathBuf};

mod check;
mod describe;
mod diff;
mod env;
mod load;
mod secret;
mod section;
#[cfg(test)]
mod tests;
mod text;

pub use describe::{KeyDescription, describe};
pub use diff::Diff;
pub use load::{load, parse};
pub use secret::Secret;
pub use section::{
    client::Client,
    credentials::{Credential, MAX_SESSIONS},
    lease::{Abandoned, Lease, LeaseMode, MAX_WAITING, Reset},
    telemetry::{LogFormat, Telemetry},
    token::{Token, TokenScope},
    upstream::{HostHeader, Upstream},
    workers::{MAX_WORKERS, Workers},
};
pub use text::{
    key::Effect,
    notation::Format,
    problem::{Place, Problem, Problems},
    vars::{ProcessVars, Vars},
};

/// A checked configuration. Every value is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses on which clients connect; at least one.
    pub listen: Vec<SocketAddr>,
    /// Keep a client's own `X-Forwarded-For` and append to it.
    pub trust_forwarded: bool,
    /// Where `/health` and `/metrics` are served.
    pub health_listen: SocketAddr,
    /// The Unix socket `tppctl` talks to.
    pub control_socket: PathBuf,
    /// `[workers]`.
    pub workers: Workers,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[client]`.
    pub client: Client,
    /// `[token]`.
    pub token: Token,
    /// `[lease]`.
    pub lease: Lease,
    /// `[[credentials]]` and the lines of `credentials_file`, in that order; at least one, user names unique.
    pub credentials: Vec<Credential>,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// What was noticed while the files were read, such as passwords open to all users. [`Config::warnings`]
    /// gives these and more.
    pub load_warnings: Vec<String>,
}

impl Config {
    /// What an administrator should know though it is no error, one sentence each, without secrets.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut list = self.load_warnings.clone();
        list.extend(self.upstream.warnings());
        list.extend(self.telemetry.warnings());
        list
    }

    /// Slots in all: the sum of the credentials' sessions, from 1 to [`MAX_SESSIONS`].
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.credentials.iter().map(|one| one.sessions).sum()
    }
}
