//! `[client]`.

use std::time::Duration;

use super::{YEAR, defaults, section};
use crate::config::text::key::Key;

section! {
    /// `[client]`: what a client may take, and how slow it may be.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Client in "client" {
        /// Most client connections, over all workers; `None`: what the limit on open files allows.
        pub max_connections: Option<usize> =
            Key::number("client.max_connections", (0, 1_000_000), 0)
                .zero("what the limit on open files allows");
        /// Most connections from one address; `None`: no bound.
        pub max_connections_per_address: Option<usize> =
            Key::number("client.max_connections_per_address", (0, 1_000_000), 0).zero("no limit");
        /// Bound on a request's head, from its first byte to its last; `None`: no bound.
        pub head_timeout: Option<Duration> =
            Key::number("client.head_timeout_seconds", (0, YEAR), 60).zero("no limit");
        /// How long nothing may move though it is the client's turn to send or to read; `None`: no bound.
        pub stall_timeout: Option<Duration> =
            Key::number("client.stall_timeout_seconds", (0, YEAR), 60).zero("no limit");
        /// Slowest a client may send or read, in bytes per second; `None`: no bound.
        pub min_rate: Option<u32> =
            Key::number("client.min_rate_bytes_per_second", (0, 1_000_000), 240).zero("no limit");
        /// How long a request and its answer may take together, from the end of the request's head, a tunnel included;
        /// `None`: no bound.
        pub exchange_timeout: Option<Duration> =
            Key::number("client.exchange_timeout_seconds", (0, YEAR), 0).zero("no limit");
    }
}

impl Default for Client {
    fn default() -> Self {
        defaults()
    }
}
