//! The plan: all that workers act on, as one immutable value.
//!
//! The supervisor compiles it from the configuration and from what it found out (the upstream's addresses), writes it once
//! into a sealed memory file ([`Sealed`]) and sends that to every worker over its channel. So settings and addresses
//! change together or not at all, a plan may be of any size, and one that cannot be made is known before anything has
//! changed. The region holds but the generation in force; each seat shows the one its worker has reached.

mod gateway;
mod origin;
mod sealed;
pub(crate) mod sealing;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{ids::Origin, lending::WorkerSettings};

pub use gateway::{BackendPlan, GroupPlan, HostPlan, PairPlan, PoolPlan, ProxyAt};
pub use origin::{Server, origin_of_pool};
pub use sealed::{PlanError, Sealed};

/// What workers act on. A newer one replaces it whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Counts plans, over all supervisors of a pool; never 0.
    pub generation: u64,
    /// What holds for a worker as a whole, and wherever nothing else is said.
    pub settings: WorkerSettings,
    /// What tokens are drawn for.
    pub pools: Vec<PoolPlan>,
    /// The origin servers.
    pub backends: Vec<BackendPlan>,
    /// Whom clients may ask.
    pub hosts: Vec<HostPlan>,
}

/// One address of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// Of the tokens that may be sent there.
    pub origin: Origin,
}
