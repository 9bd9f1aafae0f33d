//! Where clients come in: accepting, and a client's connection from its first byte to its last.

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod entry;
pub(crate) mod gates;
pub(crate) mod limit;
mod proxy_protocol;
pub(crate) mod refuse;
pub(crate) mod standing;
mod tickets;
