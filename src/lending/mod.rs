//! The pool in use: a worker's half ([`Desk`]), the supervisor's half ([`Stock`]), and what a slot stands for ([`crate::shared::TokenWords`]).
//! Above the algorithms ([`crate::pool`]), the mapping and the bells, which do not know each other.

#[cfg(not(tpp_loom))]
mod attendance;
#[cfg(not(tpp_loom))]
mod breakers;
#[cfg(not(tpp_loom))]
mod counts;
#[cfg(not(tpp_loom))]
mod crowd;
#[cfg(not(tpp_loom))]
mod desk;
#[cfg(not(tpp_loom))]
mod holds;
#[cfg(not(tpp_loom))]
mod lease;
#[cfg(not(tpp_loom))]
mod offers;
#[cfg(not(tpp_loom))]
mod oversight;
#[cfg(not(tpp_loom))]
mod passage;
#[cfg(not(tpp_loom))]
mod permits;
#[cfg(not(tpp_loom))]
mod presence;
#[cfg(not(tpp_loom))]
mod rows;
#[cfg(not(tpp_loom))]
mod settings;
#[cfg(not(tpp_loom))]
mod spans;
#[cfg(not(tpp_loom))]
mod stock;
#[cfg(not(tpp_loom))]
mod sweeping;
#[cfg(not(tpp_loom))]
mod tenancy;
#[cfg(all(test, not(tpp_loom)))]
mod tests;
#[cfg(not(tpp_loom))]
mod waiting;
#[cfg(not(tpp_loom))]
mod withholding;

#[cfg(not(tpp_loom))]
pub use self::{
    breakers::breaker_policy,
    crowd::GivingWay,
    desk::Desk,
    holds::Holding,
    lease::{EndOfLease, Lease, LeaseWatch, Refreshed},
    passage::{Asked, BreakerAt, Entered, NO_ROW, Sent},
    permits::Permits,
    presence::{Present, Queued},
    rows::{RowKeys, RowsError, RowsGiven, row_key},
    settings::{TokenSettings, WorkerSettings},
    stock::{Legacy, Stock},
    tenancy::Tenancy,
    waiting::Waiting,
};
