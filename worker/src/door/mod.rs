//! Where clients come in: accepting, and a client's connection from its first byte to its last.

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod entry;
pub(crate) mod http2;
pub(crate) mod preface;
mod proxy_protocol;
pub(crate) mod refuse;
