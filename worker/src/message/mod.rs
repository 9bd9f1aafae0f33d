//! What a message consists of, whatever the protocol: its fields, and the answers that tpp gives itself.

pub(crate) mod headers;
pub(crate) mod reply;
