//! Heads, written: what was read, and what the gateway decided about it.

mod answer;
mod request;

use bytes::BytesMut;

pub(crate) use self::{
    answer::{Seal, answer, interim, reply, switch},
    request::{Host, Stamp, TraceLine, request},
};
/// Appends `parts`.
pub(crate) fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a `Content-Length` line.
pub(crate) fn put_length(out: &mut BytesMut, length: u64) {
    use std::fmt::Write as _;
    // Writing to a buffer that grows cannot fail.
    let _ = write!(out, "Content-Length: {length}\r\n");
}
