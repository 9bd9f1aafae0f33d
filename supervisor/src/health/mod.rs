//! Active health checks: whether each backend answers, asked by the supervisor alone.
//!
//! What a check means is pure ([`Record`]): how many in a row turn a backend's state, and when the next one is due. [`Checker`] runs
//! them; a [`Probe`] does one. The state goes to the workers in the plan, so it is the same for all of them, stays when this supervisor dies,
//! and is what its successor begins with.

mod checker;
mod outlier;
mod prober;
mod record;
mod rules;

pub use checker::{Checker, Checks, Seen};
pub use outlier::{Met, Move, Standing, moves};
pub use prober::{Alive, Network, Probe};
pub use record::{Begin, Health, Record};
pub use rules::{Kind, Login, Rules, Target, Trust};
