//! `[lease]`.

use std::time::Duration;

use super::{YEAR, defaults, nested, section};
use crate::config::text::{choice::choice, key::Key};

/// Highest bound that can be set on the clients in line.
pub const MAX_WAITING: usize = 65_536;

section! {
    /// `[lease]`: how tokens are lent.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Lease in "lease" {
        /// What a lease spans.
        pub mode: LeaseMode = Key::choice("lease.mode", LeaseMode::WORDS);
        /// How long a client may wait for a token; `None`: for ever.
        pub wait_timeout: Option<Duration> =
            Key::number("lease.wait_timeout_seconds", (0, YEAR), 0).zero("for ever");
        /// How many clients may wait; `None`: no bound.
        pub max_waiting: Option<usize> =
            Key::number("lease.max_waiting", (0, MAX_WAITING as u64), 0);
        /// How long a connection may be idle before it is closed; `None`: for ever.
        pub idle_timeout: Option<Duration> =
            Key::number("lease.idle_timeout_seconds", (0, YEAR), 60).zero("never");
        /// How long a connection may be idle while somebody waits in line; `None`: as long as else.
        pub contended_idle: Option<Duration> =
            Key::number("lease.contended_idle_ms", (0, 3_600_000), 250).zero("no difference");
        /// How long a connection may hold its token; `None`: no bound.
        pub max_hold: Option<Duration> =
            Key::number("lease.max_hold_seconds", (0, YEAR), 0).zero("no limit");
        /// How long the answer in hand may go on after `max_hold`.
        pub max_hold_grace: Duration =
            Key::number("lease.max_hold_grace_seconds", (0, YEAR), 30).zero("cut at once");
        /// What becomes of a token whose client left while the upstream worked for it.
        pub abandoned: Abandoned = Key::choice("lease.abandoned", Abandoned::WORDS);
        /// Bound on [`Abandoned::Wait`].
        pub abandoned_wait: Duration = Key::number("lease.abandoned_wait_seconds", (1, YEAR), 30);
        /// What a token goes through after each lease.
        pub reset: Reset = Key::choice("lease.reset", Reset::WORDS);
    }
}

choice! {
    /// What a lease spans.
    pub enum LeaseMode {
        /// One downstream connection, from its first request to its close.
        Connection = "connection",
        /// One request.
        Request = "request",
    }
}

choice! {
    /// What becomes of a token whose client left while the upstream worked for it.
    pub enum Abandoned {
        /// It is lent again when that answer has ended, or after `abandoned_wait` and a fresh login.
        Wait = "wait",
        /// It is lent again after a fresh login.
        Login = "login",
        /// It is lent again at once.
        Release = "release",
    }
}

choice! {
    /// What a token goes through after each lease.
    pub enum Reset {
        /// Nothing: the next client finds the session as the last one left it.
        None = "none",
        /// A fresh login, so that nothing of the last client's session is left.
        Login = "login",
    }
}

nested!(Lease);

impl Default for Lease {
    fn default() -> Self {
        defaults()
    }
}
