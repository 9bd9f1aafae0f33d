//! What a worker needs of the configuration, as the supervisor publishes it in the region.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, LeaseMode, LogFormat, Upstream},
    region::Region,
};

/// The part of a [`Config`] that workers act on: no account, no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Keep a client's own `X-Forwarded-For` and append to it.
    pub trust_forwarded: bool,
    /// Worker processes that share the bounds below.
    pub workers: usize,
    /// How long a draining worker may finish what is open.
    pub drain_timeout: Duration,
    /// `workers.orphan_timeout_seconds`.
    pub orphan_timeout: Duration,
    /// `upstream.host`, for TLS and for messages; the addresses are published on their own.
    pub upstream_host: String,
    /// `upstream.port`.
    pub upstream_port: u16,
    /// `upstream.tls`.
    pub tls: bool,
    /// `upstream.ca_file`.
    pub ca_file: Option<PathBuf>,
    /// `upstream.verify`.
    pub verify: bool,
    /// `upstream.connect_timeout_seconds`.
    pub connect_timeout: Duration,
    /// `upstream.tls_handshake_timeout_seconds`.
    pub tls_handshake_timeout: Duration,
    /// `upstream.response_header_timeout_seconds`; `None`: no bound.
    pub response_header_timeout: Option<Duration>,
    /// `upstream.idle_timeout_seconds`.
    pub upstream_idle_timeout: Duration,
    /// `upstream.max_idle_connections`, over all workers.
    pub max_idle_connections: usize,
    /// Bound on waiting for a new token after a 401: what a login may take.
    pub login_timeout: Duration,
    /// `lease.mode`.
    pub lease_mode: LeaseMode,
    /// `lease.wait_timeout_seconds`; `None`: wait for ever.
    pub wait_timeout: Option<Duration>,
    /// `lease.max_waiting`; `None`: no bound.
    pub max_waiting: Option<usize>,
    /// `lease.idle_timeout_seconds`; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// `lease.max_hold_seconds`; `None`: no bound.
    pub max_hold: Option<Duration>,
    /// `telemetry.log_filter`.
    pub log_filter: String,
    /// `telemetry.log_format`.
    pub log_format: LogFormat,
}

/// The upstream's addresses that are published in `region`; none if there are none.
pub(super) fn published_addresses(region: &Region) -> Vec<SocketAddr> {
    let mut json = Vec::new();
    region.upstream().read(&mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

impl WorkerSettings {
    /// Those that are published in `region`.
    ///
    /// # Errors
    /// If there are none, or they are in another version's words.
    pub fn published_in(region: &Region) -> serde_json::Result<Self> {
        let mut json = Vec::new();
        region.settings().read(&mut json);
        serde_json::from_slice(&json)
    }

    /// Whether requests go to `upstream`: its tokens are no other server's business.
    #[must_use]
    pub fn lead_to(&self, upstream: &Upstream) -> bool {
        (&self.upstream_host, self.upstream_port, self.tls)
            == (&upstream.host, upstream.port, upstream.tls)
    }

    /// What `workers` workers need of `config`.
    #[must_use]
    pub fn of(config: &Config, workers: usize) -> Self {
        let Config {
            upstream,
            lease,
            token,
            telemetry,
            ..
        } = config;
        Self {
            trust_forwarded: config.trust_forwarded,
            workers,
            drain_timeout: config.workers.drain_timeout,
            orphan_timeout: config.workers.orphan_timeout,
            upstream_host: upstream.host.clone(),
            upstream_port: upstream.port,
            tls: upstream.tls,
            ca_file: upstream.ca_file.clone(),
            verify: upstream.verify,
            connect_timeout: upstream.connect_timeout,
            tls_handshake_timeout: upstream.tls_handshake_timeout,
            response_header_timeout: upstream.response_header_timeout,
            upstream_idle_timeout: upstream.idle_timeout,
            max_idle_connections: upstream.max_idle_connections,
            login_timeout: token.login_timeout,
            lease_mode: lease.mode,
            wait_timeout: lease.wait_timeout,
            max_waiting: lease.max_waiting,
            idle_timeout: lease.idle_timeout,
            max_hold: lease.max_hold,
            log_filter: telemetry.log_filter.clone(),
            log_format: telemetry.log_format,
        }
    }
}
