//! Limits that are exact over all processes: each is one word, or a few that do not depend on each other, over any memory. Every move
//! is one exchange, so whoever dies half-way has done it or not.
//!
//! - [`Rate`]: so many in a time, and no more than a burst at once (GCRA);
//! - [`Breaker`]: open after failures, and a few probes at a time before it closes again;
//! - [`Probes`]: which of a breaker's probes a worker has under way, so that they come back when it dies;
//! - [`FailureWindow`]: how many of the last seconds' attempts failed;
//! - [`Conduct`]: how many requests in a row a backend failed, and until when it is left out for it;
//! - [`RateTable`]: a rate for each of very many keys;
//! - [`Table`]: rows of such words, each of which is one name's.
//!
//! A limit on how many at once is a pool without tokens: [`crate::lending::Stock::add_limit`]. All take the time from the caller, in
//! one clock that all processes share, and read none.

mod breaker;
mod conduct;
#[cfg(all(test, tpp_loom))]
mod loom_models;
mod probes;
mod rate;
mod rows;
mod table;
#[cfg(all(test, not(tpp_loom)))]
mod tests;
mod window;

pub use breaker::{
    Breaker, BreakerLook, BreakerPolicy, BreakerRules, BreakerState, Pass, ShareRules, Tripped,
};
pub use conduct::{Conduct, Ejection};
pub use probes::Probes;
pub use rate::{Quota, Rate, Refused};
pub use rows::{BUCKETS, BackendRow, GroupRow, HostRow, PairRow, Row, Table, TableFull};
pub use table::{RateTable, SET, TableQuota};
pub use window::{Bucket, FailureWindow, Shares};
