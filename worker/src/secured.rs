//! What a handshake came to, for all who ask a connection of it.

use std::sync::Arc;

use tpp::certificate::Certified;

/// What came of a handshake.
#[derive(Debug)]
pub(crate) struct Secured {
    /// What the client was shown.
    pub(crate) certified: Arc<Certified>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) is_http2: bool,
    /// Whether it was an earlier session that goes on.
    pub(crate) is_resumed: bool,
}
