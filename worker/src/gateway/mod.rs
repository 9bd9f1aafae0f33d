//! The way of a request, from its head to the end of its answer. `exchange` is the list of its steps.

mod affinity;
mod asker;
pub(crate) mod attempt;
pub(crate) mod budget;
mod choose;
pub(crate) mod client;
pub(crate) mod exchange;
pub(crate) mod flight;
mod gather;
pub(crate) mod head;
pub(crate) mod held;
pub(crate) mod holds;
mod idle;
mod leftover;
mod lend;
mod login_path;
mod origin;
mod pace;
pub(crate) mod record;
mod relay;
mod renew;
mod retry;
mod route;
pub(crate) mod stamp;
mod tunnel;
pub(crate) mod upload;
mod verdict;
