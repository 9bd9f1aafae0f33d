//! HTTP/2, as far as it is not the `h2` crate's: streams that the gateway takes for HTTP/1.1 connections.
//!
//! HTTP/1.1 is the neutral form: the text of a request that is written to a stream becomes frames, and the answer's frames are read
//! as text. So each step of a request's way is there once, whatever is spoken, and no bytes are kept but
//! what flow control lets in: a side that is not read stops the other one.
//!
//! - `branch`: a stream to an upstream;
//! - `heads`: heads from one form to the other;
//! - `pack`, `unpack`: bodies and trailers, likewise;
//! - `bounds`: what a peer may cost.

pub(crate) mod bounds;
pub(crate) mod branch;
mod heads;
mod pack;
mod unpack;

use std::io;

/// The stream is no more, as a connection would be that broke.
fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
