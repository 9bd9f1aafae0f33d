//! Whom the worker lets in, and as whom it shows itself: gates with their certificates, bounds on connections and
//! handshakes, how many connections end. What all of them share; a connection itself is `door`'s.

mod challenges;
pub(crate) mod churn;
pub(crate) mod gates;
pub(crate) mod handshakes;
pub(crate) mod limit;
mod tickets;
