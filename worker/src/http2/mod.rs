//! HTTP/2, as far as it is not the `h2` crate's: streams that the gateway takes for HTTP/1.1 connections.
//!
//! HTTP/1.1 is the neutral form: a client's stream is read as the text that the same request would be, and the answer's text
//! written to it becomes frames. So each step of a request's way is there once, whatever its client speaks, and no bytes are kept but
//! what flow control lets in: a side that is not read stops the other one.
//!
//! - `lane`: a client's stream, or one after another;
//! - `branch`: a stream to an upstream;
//! - `heads_begun`: whether a client is in the midst of a head;
//! - `heads`: heads from one form to the other;
//! - `pack`, `unpack`: bodies and trailers, likewise;
//! - `bounds`: what a peer may cost;
//! - `resets`: what of its streams a client may take back.

pub(crate) mod bounds;
pub(crate) mod branch;
mod heads;
pub(crate) mod heads_begun;
pub(crate) mod lane;
mod pack;
pub(crate) mod resets;
mod unpack;

use std::io;

use h2::Reason;

/// The stream is no more, as a connection would be that broke.
fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

/// Whether the peer says that it has not looked at the stream: it refused it, or said GOAWAY before it came to it (RFC 9113, 8.7).
pub(crate) fn is_unprocessed(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.is_some_and(|error: &h2::Error| {
        let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        // `h2` says so of those streams alone that come after the last one that the peer will answer.
        error.is_remote() && (is_refused || error.is_go_away())
    })
}
