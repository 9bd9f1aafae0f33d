//! What a worker needs of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{
    AccessLog, AccessLogFormat, Client, Config, Lease, LogFormat, LogOutput, Outlier, Retry, Token,
    TokenScope, TrustedProxies, Upstream,
};

/// The part of a [`Config`] that workers act on: no account, no address to listen on.
///
/// The sections stand as they were checked, so that a key has one name and one type everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Keep a client's own `X-Forwarded-For` and append to it.
    pub trust_forwarded: bool,
    /// Who else may say so, and who a client is where it matters.
    pub trusted_proxies: TrustedProxies,
    /// Worker processes that share the bounds below.
    pub workers: usize,
    /// How long a draining worker may finish what is open.
    pub drain_timeout: Duration,
    /// `workers.orphan_timeout_seconds`.
    pub orphan_timeout: Duration,
    /// `[upstream]`; the plan has the addresses behind its host.
    pub upstream: Upstream,
    /// `[client]`.
    pub client: Client,
    /// Of `[token]`, what concerns requests.
    pub token: TokenSettings,
    /// `[lease]`.
    pub lease: Lease,
    /// `[retry]`.
    pub retry: Retry,
    /// `[outlier]`.
    pub outlier: Outlier,
    /// `telemetry.log_filter`.
    pub log_filter: String,
    /// `telemetry.log_format`.
    pub log_format: LogFormat,
    /// `telemetry.log_output`.
    pub log_output: LogOutput,
    /// `telemetry.access_log`.
    pub access_log: AccessLog,
    /// `telemetry.access_log_format`.
    pub access_log_format: AccessLogFormat,
    /// Of the traces that begin here so many in a hundred are recorded; `None`: traces are none of tpp's business.
    #[serde(default)]
    pub trace_percent: Option<u32>,
    /// There is a management API, whose askers want to know what is under way.
    #[serde(default)]
    pub has_api: bool,
}

/// What a worker must know of `[token]`: nothing that only a login needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// Statuses that mean that the token must be renewed.
    pub renew_on: Vec<u16>,
    /// Where a token may be sent.
    pub scope: TokenScope,
    /// Forward a client's own requests to `login_path`; else they get 403.
    pub login_from_clients: bool,
    /// Path of the login call, starting with `/`.
    pub login_path: String,
    /// Bound on one login, and so on the wait for a new token after a 401.
    pub login_timeout: Duration,
}

impl TokenSettings {
    /// What workers need of `token`.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            renew_on: token.renew_on.clone(),
            scope: token.scope,
            login_from_clients: token.login_from_clients,
            login_path: token.login_path.clone(),
            login_timeout: token.login_timeout,
        }
    }
}

impl WorkerSettings {
    /// What `workers` workers need of `config`.
    #[must_use]
    pub fn of(config: &Config, workers: usize) -> Self {
        Self {
            trust_forwarded: config.trust_forwarded,
            trusted_proxies: config.trusted_proxies.clone(),
            workers,
            drain_timeout: config.workers.drain_timeout,
            orphan_timeout: config.workers.orphan_timeout,
            upstream: config.upstream.clone(),
            client: config.client.clone(),
            token: TokenSettings::of(&config.token),
            lease: config.lease.clone(),
            retry: config.gateway.retry.clone(),
            outlier: config.gateway.outlier.clone(),
            log_filter: config.telemetry.log_filter.clone(),
            log_format: config.telemetry.log_format,
            log_output: config.telemetry.log_output.clone(),
            access_log: config.telemetry.access_log.clone(),
            access_log_format: config.telemetry.access_log_format,
            trace_percent: config.telemetry.trace_percent(),
            has_api: config.api.is_some(),
        }
    }
}
