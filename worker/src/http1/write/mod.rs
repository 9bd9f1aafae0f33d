//! Heads, written: what was read, and what the gateway decided about it.

mod answer;
mod lines;
mod reply;
mod request;

use bytes::BytesMut;

pub(crate) use self::{
    answer::{Seal, answer, interim, switch},
    reply::reply,
    request::{Host, Stamp, TraceLine, client_lines, request},
};

/// Appends `parts`.
// A loop of its own: spread out in each of the many places it would be most of the code that a request meets.
#[inline(never)]
pub(crate) fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a `Content-Length` line.
pub(crate) fn put_length(out: &mut BytesMut, length: u64) {
    // Nearly every answer has one, and the standard formatting takes as long as all of the copying here.
    let mut digits = itoa::Buffer::new();
    let length = digits.format(length).as_bytes();
    put(out, &[b"Content-Length: ", length, b"\r\n"]);
}
