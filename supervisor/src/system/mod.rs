//! What the operating system gives, and is told: signals, sockets, limits, log lines, systemd.

pub(crate) mod children;
pub(crate) mod keeping;
pub mod limits;
pub mod logging;
mod notices;
pub(crate) mod pidfd;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod systemd;
pub(crate) mod ticks;
