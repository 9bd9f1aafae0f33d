//! Where clients come in: accepting, and a client's connection from its first byte to its last.

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod limit;
pub(crate) mod refuse;
pub(crate) mod standing;
