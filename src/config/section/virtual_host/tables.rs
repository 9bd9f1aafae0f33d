//! The tables within a virtual host.

use std::time::Duration;

use crate::config::{
    section::{YEAR, nested, section},
    text::{
        key::{Default as Absent, Key, Kind},
        reader::{Reader, Table},
        values::Read,
        write::{Map, Write},
    },
};

section! {
    /// `[virtual_hosts.queue]`: who may wait while as many requests are under way as may be.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Queue in "virtual_hosts.queue" {
        /// How many may wait, in order of arrival over all workers; 0: nobody.
        pub max_waiting: usize =
            Key::number("virtual_hosts.queue.max_waiting", (0, 65_536), 0).zero("nobody waits");
        /// How long; `None`: for ever.
        pub wait_timeout: Option<Duration> =
            Key::number("virtual_hosts.queue.wait_timeout_seconds", (0, YEAR), 0).zero("for ever");
    }
}

section! {
    /// `[virtual_hosts.circuit_breaker]`: a host whose backends fail is left alone for a while.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct CircuitBreaker in "virtual_hosts.circuit_breaker" {
        /// Whether there is one.
        pub enabled: bool = Key::flag("virtual_hosts.circuit_breaker.enabled", false);
        /// Failures in a row that open it.
        pub failure_threshold: u32 =
            Key::number("virtual_hosts.circuit_breaker.failure_threshold", (1, 16_000), 5);
        /// How long it stays open before it lets a probe through.
        pub recovery_timeout: Duration = Key::number(
            "virtual_hosts.circuit_breaker.recovery_timeout_seconds",
            (1, 86_400),
            30,
        );
        /// Most probes under way at once.
        pub half_open_requests: u32 =
            Key::number("virtual_hosts.circuit_breaker.half_open_requests", (1, 60), 1);
        /// Percent of failures in the window that opens it; 0: only failures in a row do.
        pub failure_rate_percent: u32 =
            Key::number("virtual_hosts.circuit_breaker.failure_rate_percent", (0, 100), 0)
                .zero("only failures in a row open it");
        /// Fewest requests in the window for which a rate counts.
        pub min_requests: u32 =
            Key::number("virtual_hosts.circuit_breaker.min_requests", (1, 1_000_000), 20);
        /// How long the window is.
        pub window: Duration =
            Key::number("virtual_hosts.circuit_breaker.window_seconds", (1, 3600), 10);
    }
}

section! {
    /// `[virtual_hosts.timeouts]`: bounds in place of its backends' own and of `[client]`'s.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Timeouts in "virtual_hosts.timeouts" {
        /// In place of `upstream.connect_timeout_seconds`.
        pub dial: TimeoutOverride = Key::new(
            "virtual_hosts.timeouts.dial",
            Kind::Whole { min: 1, max: 3600, zero: "" },
            Absent::Unset,
        );
        /// In place of `upstream.response_header_timeout_seconds`.
        pub response_header: TimeoutOverride =
            Key::new("virtual_hosts.timeouts.response_header", NO_LIMIT, Absent::Unset);
        /// In place of `upstream.idle_timeout_seconds`.
        pub idle: TimeoutOverride = Key::new(
            "virtual_hosts.timeouts.idle",
            Kind::Whole { min: 1, max: YEAR, zero: "" },
            Absent::Unset,
        );
        /// In place of `upstream.read_timeout_seconds`.
        pub read: TimeoutOverride =
            Key::new("virtual_hosts.timeouts.read", NO_LIMIT, Absent::Unset);
        /// In place of `client.exchange_timeout_seconds`.
        pub exchange: TimeoutOverride =
            Key::new("virtual_hosts.timeouts.exchange", NO_LIMIT, Absent::Unset);
    }
}

nested!(Queue, CircuitBreaker, Timeouts);

const NO_LIMIT: Kind = Kind::Whole {
    min: 0,
    max: YEAR,
    zero: "no limit",
};

/// A bound, in place of another where it is given; zero: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TimeoutOverride(pub Option<Duration>);

impl TimeoutOverride {
    /// What holds where `other` is the bound without it; `None`: no limit.
    #[must_use]
    pub fn or(self, other: Option<Duration>) -> Option<Duration> {
        self.0
            .map_or(other, |given| Some(given).filter(|limit| !limit.is_zero()))
    }
}

impl Read for TimeoutOverride {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Self(table.find(key).map(|_| Duration::read(reader, table, key)))
    }
}

impl Write for TimeoutOverride {
    fn write(&self, key: &Key, map: &mut Map) {
        if let Some(given) = self.0 {
            given.write(key, map);
        }
    }
}
