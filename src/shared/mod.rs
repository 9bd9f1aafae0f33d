//! Values that lie in shared memory beside the words that are fought over: bytes that one process publishes, numbers that
//! one process counts, what a slot's token is. Over any memory; they know nobody.

mod causes;
mod counter;
mod counters;
mod drawn;
mod holder;
mod pool_counts;
mod publication;
mod suspects;
mod tenure;
mod terms;
mod token;
mod traffic;
mod waits;

pub use counter::Counter;
pub use counters::{Histogram, HistogramCounts, SeatCounters, SupervisorCounters, Totals};
pub use drawn::ORIGIN_BYTES;
#[cfg_attr(tpp_loom, allow(unused_imports, reason = "the models have no stock"))]
pub(crate) use drawn::{publish_token, read_token};
pub use holder::{EndedHold, Held, HolderNote, LEAST_TOLD, LongestHolds};
pub use pool_counts::{PoolCounts, PoolLogins, PoolSeat};
pub use publication::{Publication, TooLong};
pub use suspects::Suspects;
pub use tenure::{Deadlines, Tenure, TenureWords};
pub use terms::{Hopeless, PoolWords, Terms};
pub use token::{Rest, TokenWords};
pub use traffic::{
    BackendSeat, Failing, Gauge, HostSeat, HostTotals, Latency, LatencyCounts, PairSeat, Rejection,
    SeatRow, code_label,
};
pub use waits::{WaitEnd, WaitsEnded, WaitsEndedCounts};
