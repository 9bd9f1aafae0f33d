//! tpp, the library that supervisor, worker and `tppctl` share.
//!
//! - [`config`]: what an administrator may set;
//! - [`ids`], [`shared`], [`roster`]: what numbers mean, values in shared memory, who works here;
//! - [`pool`]: slots, leases, the waiting line: the algorithms, over any memory;
//! - [`region`]: the shared mapping that pools lie in;
//! - [`lending`]: a pool in use: a worker's half, the supervisor's half;
//! - [`plan`]: what workers act on, one value a generation, and where tokens may go;
//! - [`front`]: how workers let clients in, and what they show them;
//! - [`clients`]: how many connections there are over all workers, and from each address;
//! - [`tls`]: whom to trust at the upstream; [`certificate`]: what tpp itself shows;
//! - [`bells`]: how one process makes another look; [`ticks`]: how one looks by itself;
//! - [`limits`]: rates and breakers, exact over all processes;
//! - [`handover`]: the descriptors that processes leave to each other, and how they get there;
//! - [`api_tokens`]: who may use the management API;
//! - [`control`]: the protocol between `tppctl` and the supervisor.
//!
//! It has no tokio, no HTTP, no logger: it returns values. `unsafe` stands in `region::mapping` and
//! `handover::inherit` alone.

#[cfg(not(tpp_loom))]
pub mod api_tokens;
#[cfg(not(tpp_loom))]
pub mod bells;
#[cfg(not(tpp_loom))]
pub mod certificate;
#[cfg(not(tpp_loom))]
pub mod clients;
#[cfg(not(tpp_loom))]
pub mod clock;
#[cfg(not(tpp_loom))]
pub mod config;
#[cfg(not(tpp_loom))]
pub mod control;
#[cfg(not(tpp_loom))]
pub mod front;
#[cfg(all(any(test, fuzzing), not(tpp_loom)))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(not(tpp_loom))]
pub mod handover;
#[cfg(not(tpp_loom))]
pub mod hash;
pub mod ids;
pub mod lending;
pub mod limits;
#[cfg(not(tpp_loom))]
pub mod log_file;
#[cfg(not(tpp_loom))]
pub mod log_lines;
#[cfg(not(tpp_loom))]
pub mod plan;
pub mod pool;
#[cfg(not(tpp_loom))]
pub mod region;
#[cfg(not(tpp_loom))]
pub mod retry_after;
pub mod roster;
pub mod shared;
#[cfg(not(tpp_loom))]
pub mod signals;
pub mod spans;
mod sync;
#[cfg(not(tpp_loom))]
pub mod ticks;
#[cfg(not(tpp_loom))]
pub mod tls;
pub mod tunnel;
