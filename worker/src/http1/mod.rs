//! HTTP/1.1 between bytes and meaning: it holds no policy.
//!
//! What is read (`request`, `answer`, `body`) is not yet written (`write`): in between, the gateway decides.

pub(crate) mod answer;
pub(crate) mod body;
mod chunk;
pub(crate) mod line;
pub(crate) mod request;
pub(crate) mod write;
