//! The way of a request, from its head to the end of its answer. `exchange` is the list of its steps.

pub(crate) mod attempt;
mod choose;
pub(crate) mod client;
pub(crate) mod doubts;
pub(crate) mod exchange;
pub(crate) mod flight;
mod gather;
pub(crate) mod head;
pub(crate) mod held;
pub(crate) mod holds;
mod leftover;
mod lend;
mod login_path;
mod origin;
mod pace;
mod prove;
pub(crate) mod record;
mod relay;
mod renew;
pub(crate) mod stamp;
mod tunnel;
pub(crate) mod upload;
mod verdict;
