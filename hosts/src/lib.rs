//! Many hosts, one set of accounts: who may use which session when.
//!
//! [`Core`] is the whole of it as a pure function: (what happened, now) → what is to be done. It has no clock, no network, no
//! thread and no randomness of its own; the supervisor drives it, and so do the tests, which search it exhaustively.
//!
//! What it promises, whatever the engine, the network, the clocks' offsets and the processes do, as long as clocks' *rates*
//! differ by less than 30 %:
//!
//! - no more of an account's sessions are in use over all hosts than it allows;
//! - a token is never at two hosts: a session that moves is logged in anew;
//! - whatever goes wrong makes hosts lend less, never more.
pub mod account;
mod bucket;
mod core;
pub mod deadlines;
pub mod engine;
pub mod event;
mod fair;
pub mod formats;
pub mod keys;
mod local;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod order;
pub mod records;
mod rules;
pub mod settings;
pub mod status;
mod view;

pub use account::{Account, Session, Upstream};
pub use core::Core;
pub use deadlines::{Class, Deadlines, Words};
pub use event::{Command, Event, PoolSeen, Use};
pub use formats::Formats;
pub use order::{Denied, Note, Order, Reason, Refusal};
pub use settings::{Memory, Settings, Start, Takeover};
pub use status::Status;
