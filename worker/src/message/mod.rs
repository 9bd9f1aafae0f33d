//! What a message consists of, whatever the protocol: its head, its fields, and the answers that tpp gives itself.

mod cookie;
pub(crate) mod field;
pub(crate) mod grpc;
pub(crate) mod head;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod reply;
