//! Limits that are exact over all processes: each is one word, or a few that do not depend on each other, over any memory. Every move
//! is one exchange, so whoever dies half-way has done it or not.
//!
//! - [`Rate`]: so many in a time, and no more than a burst at once (GCRA);
//! - [`Breaker`]: open after failures, and a few probes at a time before it closes again;
//! - [`FailureWindow`]: how many of the last seconds' attempts failed.
//!
//! A limit on how many at once is a pool without tokens: [`crate::lending::Stock::add_limit`]. All take the time from the caller, in
//! one clock that all processes share, and read none.

mod breaker;
#[cfg(all(test, tpp_loom))]
mod loom_models;
mod rate;
#[cfg(all(test, not(tpp_loom)))]
mod tests;
mod window;

pub use breaker::{Breaker, BreakerRules, BreakerState, Pass, Tripped};
pub use rate::{Quota, Rate, Refused};
pub use window::{Bucket, FailureWindow, Shares};
