//! `[workers]`.

use std::time::Duration;

use super::{YEAR, section};
use crate::config::text::key::{Effect, Key};

/// Most worker processes.
pub const MAX_WORKERS: usize = 256;

section! {
    /// `[workers]`: how many processes serve, and how long they get to end.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Workers in "workers" {
        /// Number of worker processes; 0 means one per processor.
        pub count: usize =
            Key::number("workers.count", (0, MAX_WORKERS as u64), 0).takes(Effect::Workers);
        /// How long a draining worker may finish what is open.
        pub drain_timeout: Duration =
            Key::number("workers.drain_timeout_seconds", (0, YEAR), 30).zero("close at once");
        /// How long a stop is only announced (`/readyz` says no, new connections are taken) before the drain.
        pub stop_delay: Duration =
            Key::number("workers.stop_delay_seconds", (0, 3600), 0).zero("drain at once");
        /// How long a worker's heartbeat may stand still before it is killed.
        pub worker_timeout: Duration =
            Key::number("workers.worker_timeout_seconds", (1, 3600), 10);
        /// How long a worker serves on without a supervisor before it drains.
        pub orphan_timeout: Duration =
            Key::number("workers.orphan_timeout_seconds", (1, YEAR), 300);
    }
}
