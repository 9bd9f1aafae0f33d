//! The protocol between `tppctl` and the supervisor: one request, one reply, over a Unix stream socket.
//!
//! A frame is a 4-byte big-endian length and that many bytes of JSON ([`frame`]). The length is checked
//! before anything is allocated. A connection carries one exchange and is then closed. Both messages
//! open with the sender's version, which is read before the rest is judged, so that two programs of
//! different ages tell their user so instead of calling each other's words malformed.

mod certificate;
pub mod client;
pub mod frame;
mod gateway;
mod hosts;
mod message;
mod report;
mod slow;
mod socket;
mod times;

pub use certificate::{CertificateStatus, Renewal};
pub use gateway::*;
pub use hosts::*;
pub use message::*;
pub use report::{PoolReport, PoolTally, RefreshCounts};
pub use slow::{AnswerTimes, FailingAccount, Hold, HoldEnded, Slow, SlowBackend};
pub use socket::private_listener;
pub use times::{TimesReport, TimesTally, Took, times_since};
