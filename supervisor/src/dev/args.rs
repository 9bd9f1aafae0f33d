//! The options of `tpp dev`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// What `tpp dev` takes.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where clients connect; port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Where /health and /metrics are served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(super) health_listen: SocketAddr,
    /// Where the management API is served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(super) api_listen: SocketAddr,
    /// The socket for tppctl [default: in a new directory for temporary files]
    #[arg(long, value_name = "PATH")]
    pub(super) control_socket: Option<PathBuf>,
    /// Tokens in the pool
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) sessions: u16,
    /// Worker processes; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(super) workers: u16,
    /// How long a token is good for at the stand-in, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(super) token_ttl: u32,
    /// A `tracing` filter
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log_filter: String,
}
