//! The way of a request, from its head to the end of its answer.

pub(crate) mod exchange;
pub(crate) mod held;
pub(crate) mod lend;
pub(crate) mod login_path;
pub(crate) mod relay;
pub(crate) mod renew;
pub(crate) mod upload;
