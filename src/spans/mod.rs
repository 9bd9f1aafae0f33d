//! Spans of requests on their way from the workers to the supervisor, which exports them: no worker has a client of its own.
//!
//! A span is a record of fixed size ([`Record`]); each seat has a ring of them in the region ([`SpanRing`]). Nobody waits: what finds
//! no room is dropped and counted. A worker that is killed leaves what it wrote to the end; a supervisor that is killed takes
//! with it what it had read and not sent.

#[cfg(all(test, tpp_loom))]
mod loom_models;
mod record;
mod ring;

pub use record::{Record, Span, SpanKind, Version};
pub use ring::SpanRing;
