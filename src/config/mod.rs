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

use crate::{api_tokens::ApiTokens, clock::unix_seconds};

mod check;
mod describe;
mod diff;
mod env;
mod front;
mod gateway;
mod load;
mod secret;
mod section;
#[cfg(test)]
mod tests;
mod text;

pub use describe::{KeyDescription, describe};
pub use diff::Diff;
pub use front::Front;
pub use gateway::{
    Conflict, Entry, Gateway, Overlay, Rule,
    plain::{PLAIN_BACKEND, PLAIN_TAG},
};
pub use load::{load, parse};
pub use secret::Secret;
pub use section::{
    access::{Access, Cidr},
    acme::{Acme, Challenge, HmacKey},
    api::{Api, ApiListen},
    backend::{Backend, BackendState},
    certificate::{Certificate, CertificateFiles},
    client::Client,
    credentials::{Credential, MAX_SESSIONS},
    health_check::{HealthCheck, HealthKind, Statuses},
    hosts::{Hosts, TakeoverBy},
    http2::{Http2, Http2Lease},
    lease::{Abandoned, Lease, LeaseMode, MAX_WAITING, Reset},
    listener::{CaFile, ClientCertificates, Listener},
    login::{ClientAuth, FeishuApp, FeishuToken, Inject, Login, LoginMethod, Ok as LoginOk},
    metrics::Metrics,
    otlp_headers::OtlpHeaders,
    outlier::Outlier,
    pool::{DEFAULT_POOL, Pool},
    provider::Provider,
    proxy::Proxy,
    rate_limit::{RateHeaders, RateKey, RateLimit},
    retry::Retry,
    telemetry::{AccessLog, AccessLogFormat, LogFormat, LogOutput, OtlpProtocol, Telemetry},
    tls::{Tls, TlsVersion},
    token::{Token, TokenScope},
    trusted::TrustedProxies,
    upstream::{HostHeader, Upstream, UpstreamHttp2},
    virtual_host::{
        Affinity, Balance, CircuitBreaker, DEFAULT_DOMAIN, HashKey, Queue, Selector,
        TimeoutOverride, Timeouts, VirtualHost,
    },
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
    /// `listen`: addresses on which clients connect; at least one, unless `front` has listeners.
    pub listen: Vec<SocketAddr>,
    /// Keep a client's own `X-Forwarded-For` and append to it.
    pub trust_forwarded: bool,
    /// Whose `Forwarded` and `X-Forwarded-…` are believed.
    pub trusted_proxies: TrustedProxies,
    /// Where `/health` and `/metrics` are served.
    pub health_listen: SocketAddr,
    /// The Unix socket `tppctl` talks to.
    pub control_socket: PathBuf,
    /// The directory for what must outlive the processes.
    pub state_directory: PathBuf,
    /// `[workers]`.
    pub workers: Workers,
    /// `[upstream]`; in a file with `[[backends]]` that names no host, the first backend's host and port.
    pub upstream: Upstream,
    /// `[client]`.
    pub client: Client,
    /// `[token]`.
    pub token: Token,
    /// `[lease]`.
    pub lease: Lease,
    /// `[[credentials]]` and the lines of `credentials_file`, in that order; at least one unless there are
    /// `[[backends]]`, user names unique.
    pub credentials: Vec<Credential>,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// The front door: other addresses on which clients connect, and certificates.
    pub front: Front,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// All that is declared around the pools, or what the sections above stand for.
    pub gateway: Gateway,
    /// `[api]`; `None`: there is no management API.
    pub api: Option<Api>,
    /// What stands in `api.tokens_file`; `None`: there is no such file.
    pub api_tokens: Option<ApiTokens>,
    /// `[hosts]`; `None`: this host is alone.
    pub hosts: Option<Hosts>,
    /// What was noticed while the files were read, such as passwords open to all users. [`Config::warnings`]
    /// gives these and more.
    pub load_warnings: Vec<String>,
}

impl Config {
    /// What an administrator should know though it is no error, one sentence each, without secrets.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut list = self.load_warnings.clone();
        list.extend(self.upstream.warnings("upstream"));
        for backend in &self.gateway.backends {
            // What a backend took over from the top has been said there.
            let (own, top) = (&backend.upstream, &self.upstream);
            let of = |one: &Upstream| (one.tls, one.verify, one.ca_file.clone(), one.http2);
            if of(own) != of(top) {
                list.extend(own.warnings(&format!("backend {}", backend.id)));
            }
        }
        list.extend(self.telemetry.warnings());
        list.extend(self.front.warnings(&self.gateway, unix_seconds()));
        list
    }

    /// All that the entries of `gateway` have wrong with each other, and with this file's front door.
    #[must_use]
    pub fn conflicts(&self, gateway: &Gateway) -> Vec<Conflict> {
        let mut found = gateway.check();
        found.extend(self.front.check_hosts(&self.listen, gateway));
        found
    }

    /// All addresses on which clients connect: of `listen`, then of the listeners, each in its order.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.front.listeners.iter().map(|one| one.address);
        self.listen.iter().copied().chain(listeners).collect()
    }

    /// Slots of the top's own accounts: the sum of their sessions, at most [`MAX_SESSIONS`]; 0 without an account.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.credentials.iter().map(|one| one.sessions).sum()
    }
}
