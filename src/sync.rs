//! The one door to atomics: the machine's own, or loom's when the models run (`--cfg tpp_loom`).
//!
//! Loom's atomics are handles, not words, so they cannot lie in a mapping. The algorithms therefore take
//! slices ([`crate::pool::Pool`]) and never ask where those slices come from.

#[cfg(tpp_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(tpp_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
